"""Measurements, not tests: each prints what it measured, and RESULTS.md has the figures."""
