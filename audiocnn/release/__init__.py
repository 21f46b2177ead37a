"""A finished run as a model repository: checked against itself, with card and pictures, and made again by others."""
