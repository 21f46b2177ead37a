"""Mutated files in search of a crash, an error that is no sentence, hours or gigabytes."""
