"""From recordings to a dataset of log-mel spectrograms."""
