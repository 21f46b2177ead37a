"""All folds side by side: the plan, who trains which, the worker processes, the uploads."""
