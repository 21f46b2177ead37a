"""One fold, from its rows to its weights: the epoch loop, its state, committing and resuming."""
