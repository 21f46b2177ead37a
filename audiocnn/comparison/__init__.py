"""Results in git: those here against the commit's, and one revision against another."""
