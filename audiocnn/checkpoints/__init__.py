"""A fold's folder on disk: its files, when they count, its KEY, its lock."""
