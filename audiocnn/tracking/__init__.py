"""Weights & Biases, never in the way."""
