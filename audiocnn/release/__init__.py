"""A finished run as a model repository: read and checked against itself, its card, its pictures."""
