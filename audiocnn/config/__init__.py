"""The project's YAML files as frozen, validated types: params.yaml, runtime.yaml, dvc.lock; and its outs' names."""
