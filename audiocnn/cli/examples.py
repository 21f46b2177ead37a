"""What `audiocnn COMMAND --help` ends with: a line or three that work, by command."""

EXAMPLES = {
    "features": (
        "audiocnn features recordings data/my_sounds --folds 5 --dry-run",
        "audiocnn features recordings data/my_sounds --folds 5 --group-by '^([a-z]+)_' --seconds auto",
        "audiocnn features ESC-50-master data/esc50",
    ),
    "preset": ("audiocnn preset accurate", "audiocnn preset speech", "audiocnn preset published"),
    "train": (
        "audiocnn train",
        "audiocnn train --epochs 6 --folds 0 1 2 --model-dir quick",
        "audiocnn train --all-clips",
    ),
    "status": ("audiocnn status", "audiocnn status --watch"),
    "results": ("audiocnn results", "audiocnn results quick"),
    "report": ("audiocnn report", "audiocnn report ../other_clone"),
    "compare": ("audiocnn compare main", "audiocnn compare HEAD~1 HEAD --md", "audiocnn compare --old A,B --new C,D"),
    "experiments": ("audiocnn experiments", "audiocnn experiments --csv > experiments.csv"),
    "predict": (
        "audiocnn predict dog.m4a",
        "audiocnn predict recordings --csv > answers.csv",
        "audiocnn predict two_hours.mp3 --hop 1 --models hf://OWNER/NAME",
        "audiocnn predict dog.m4a --models models/model_all_clips.safetensors",
    ),
    "export": ("audiocnn export --onnx sounds.onnx", "audiocnn export --onnx fold_0.onnx --fold 0"),
    "publish": (
        "audiocnn publish --repo OWNER/NAME --dry-run release",
        "audiocnn publish --repo OWNER/NAME",
        "audiocnn publish --space OWNER/NAME",
    ),
    "verify": ("audiocnn verify hf://OWNER/NAME", "audiocnn verify release --data data/my_sounds --all"),
    "upload": ("audiocnn upload",),
    "clean": ("audiocnn clean", "audiocnn clean --remove"),
}
