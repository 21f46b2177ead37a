"""The one home of what tests and benchmarks share."""
