"""The HTML page on one cross-validation."""
