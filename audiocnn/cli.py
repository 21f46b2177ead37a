"""The `audiocnn` command. Each subcommand imports what it needs when it runs, so that `--help` is quick."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from audiocnn import __version__
from audiocnn.errors import run_command

Command = Callable[[argparse.Namespace], int | None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `audiocnn ARGUMENTS` and returns its exit code: 0, 1 for an error a user can mend, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    command: Command = options.command
    return run_command(lambda: command(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="audiocnn", description="Train, cross-validate and use AudioCNN.")
    parser.add_argument("--version", action="version", version=f"audiocnn {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_results(commands)
    _add_compare(commands)
    _add_report(commands)
    _add_train(commands)
    _add_features(commands)
    _add_predict(commands)
    _add_publish(commands)
    _add_upload(commands)
    return parser


def _add_results(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("results", help="print the table of results and compare it with the committed one")
    parser.set_defaults(command=_results)


def _results(options: argparse.Namespace) -> None:
    from audiocnn.results import print_results

    print_results()


def _add_report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("report", help="write report/index.html: curves, confusions, mistakes, in one file")
    parser.set_defaults(command=_report)


def _report(options: argparse.Namespace) -> None:
    from audiocnn.report import report_command

    report_command()


def _add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("compare", help="two runs fold by fold: is one better, or is that the folds' spread?")
    parser.add_argument("old", metavar="REV", help="git revision or DVC experiment")
    parser.add_argument("new", nargs="?", metavar="REV", help="what to compare with it (default: the working tree)")
    parser.add_argument("--md", action="store_true", help="as Markdown, for a pull request")
    parser.set_defaults(command=_compare)


def _compare(options: argparse.Namespace) -> None:
    from audiocnn.compare import compare

    compare(options)


def _add_train(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    train = commands.add_parser("train", help="the whole cross-validation without DVC")
    train.add_argument("--model-dir", type=Path, default=Path("models"), metavar="DIR", help="for results (models)")
    train.set_defaults(command=_train)
    status = commands.add_parser("status", help="where each fold is, while it trains and after")
    status.set_defaults(command=_status)
    for parser in (train, status):  # what a fold's checkpoint is filed under: status must be told the same as train
        parser.add_argument("--processed-dir", type=Path, default=Path("data/prepared"), metavar="DIR")
        parser.add_argument("--checkpoint-dir", type=Path, metavar="DIR", help="(default: checkpoints)")
        parser.add_argument("--epochs", type=int, metavar="N", help="instead of params.yaml's train.epochs")
        parser.add_argument("--batch-size", type=int, metavar="N", help="instead of train.batch_size")
        parser.add_argument("--learning-rate", type=float, metavar="LR", help="instead of train.lr")
        parser.add_argument("--folds", type=int, nargs="+", metavar="K", help="instead of params.yaml's folds")


def _train(options: argparse.Namespace) -> None:
    from audiocnn.train_command import train

    train(options)


def _status(options: argparse.Namespace) -> None:
    from audiocnn.status import print_status
    from audiocnn.train_command import plan_of

    params, plan = plan_of(options)
    print_status(plan, params.folds)


def _add_features(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("features", help="turn a folder of sound files into a dataset of spectrograms")
    parser.add_argument("audio_dir", type=Path, metavar="AUDIO_DIR", help="UrbanSound8K's or ESC-50's layout, or any")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="a folder for data.source in params.yaml")
    csv = parser.add_argument_group("the CSV that lists the clips, where the layout is another")
    csv.add_argument("--metadata", type=Path, metavar="FILE", help="files are named in it relative to AUDIO_DIR")
    csv.add_argument("--file-column", metavar="NAME", help="(default: filename)")
    csv.add_argument("--fold-column", metavar="NAME", help="(default: fold)")
    csv.add_argument("--label-column", metavar="NAME", help="whole numbers (default: label)")
    csv.add_argument("--class-column", metavar="NAME", help="class names (default: class)")
    recipe = parser.add_argument_group("the recipe, the same for training and for prediction")
    recipe.add_argument("--rate", type=int, metavar="HZ", help="to resample to (default: 22050)")
    recipe.add_argument("--seconds", type=float, metavar="S", help="to pad or cut to (default: 5 for ESC-50, else 4)")
    recipe.add_argument("--n-fft", type=int, metavar="N", help="samples in a window (default: 2048)")
    recipe.add_argument("--hop-length", type=int, metavar="N", help="samples between windows (default: 512)")
    recipe.add_argument("--n-mels", type=int, metavar="N", help="mel bands (default: 128)")
    recipe.add_argument("--fmin", type=float, metavar="HZ", help="lowest frequency (default: 0)")
    recipe.add_argument("--fmax", type=float, metavar="HZ", help="highest frequency (default: half the rate)")
    recipe.add_argument("--top-db", type=float, metavar="DB", help="range below the maximum (default: 80)")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a core)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out the clips that cannot be used")
    parser.add_argument("--push", metavar="hf://datasets/OWNER/NAME", help="upload the result, with a dataset card")
    parser.set_defaults(command=_features)


def _features(options: argparse.Namespace) -> None:
    from audiocnn.features_command import run

    run(options)


def _add_predict(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("predict", help="name the class of sound files, with its probability")
    parser.add_argument("files", nargs="+", metavar="FILE", help="sound, .npy spectrogram, folder, or - for a list")
    parser.add_argument("--models", default="models", metavar="PLACE", help="folder or hf://OWNER/NAME[@REV] (models)")
    parser.add_argument("--fold", type=int, metavar="K", help="one fold's weights (default: the mean over all folds)")
    parser.add_argument("--hop", type=float, metavar="S", help="between a recording's windows (default: a window)")
    parser.add_argument("--top", type=int, metavar="N", help="the N likeliest classes (default: 1, with --json all)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="file, start, end, rank, class, index, probability")
    form.add_argument("--json", action="store_true", help="a line an object, with the probabilities by class")
    parser.set_defaults(command=_predict)


def _predict(options: argparse.Namespace) -> int:
    from audiocnn.predict_command import run

    return run(options)


def _add_publish(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("publish", help="push the best models, their results and a model card to the Hub")
    parser.add_argument("--repo", required=True, metavar="OWNER/NAME", help="made, for all to see, where there is none")
    parser.add_argument("--dry-run", type=Path, metavar="DIR", help="write what would be pushed into a folder instead")
    parser.add_argument("--yes-this-is-the-demo", action="store_true", help="publish results on synthetic sounds")
    parser.set_defaults(command=_publish)


def _publish(options: argparse.Namespace) -> None:
    from audiocnn.publish import publish

    publish(options.repo, options.dry_run, options.yes_this_is_the_demo)


def _add_upload(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("upload", help="upload the weights that runtime.yaml's hub.model_repo still lacks")
    parser.set_defaults(command=_upload)


def _upload(options: argparse.Namespace) -> None:
    from audiocnn.uploader import upload_command

    upload_command()


if __name__ == "__main__":
    sys.exit(main())
