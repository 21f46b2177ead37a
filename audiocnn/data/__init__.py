"""From a source to arrays and batches: fetch, the safe pickle reader, prepare, the dataset."""
