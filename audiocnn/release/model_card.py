"""README.md of a published model: front matter that the Hub reads, then what a user must know before trusting it."""

from collections.abc import Sequence

from audiocnn.config.all_clips import ALL_CLIPS_RECORD, ALL_CLIPS_WEIGHTS
from audiocnn.config.hub_names import dataset_name
from audiocnn.config.params import Params
from audiocnn.data.unequal_folds import unequal_folds
from audiocnn.evaluation.fold_results import FoldResult, mixture
from audiocnn.evaluation.metrics import mean_std
from audiocnn.evaluation.read import headline_metrics
from audiocnn.evaluation.rows import calibration, class_rows, fold_row
from audiocnn.folds.all_clips import AllClipsRecord, what_it_is_worth
from audiocnn.model.weights import WeightsHeader
from audiocnn.release.front_matter import front_matter
from audiocnn.release.origin import CodeOrigin
from audiocnn.release.usage import usage
from audiocnn.sound.leak_counts import LeakCounts
from audiocnn.text import markdown

PROTOCOLS = {
    "held_out": (
        "Each fold is held out once and the network is trained on the others. **The best epoch is chosen by its "
        "accuracy on the held-out fold itself, so the accuracy below is optimistic**: it is the best of many looks at "
        "the clips that it reports. That is the published protocol of this network; compare it with numbers of the "
        "same protocol only."
    ),
    "previous_fold": (
        "Each fold is held out once; the fold before it chooses the best epoch, the network is trained on the others, "
        "and the held-out fold is read once, after training. The test accuracy below is not selected on."
    ),
    "none": (
        "Each fold is held out once; the network is trained on all others for a fixed number of epochs, its last "
        "weights count, and the held-out fold is read once, after training. The test accuracy below is not selected on."
    ),
}
_FILES = (
    ("file", "what"),
    (
        "model_fold_K_best.safetensors",
        "weights of fold K at the epoch that counts; their header holds classes, shape and recipe",
    ),
    ("params.yaml", "everything that decided the result"),
    ("origin.json", "what it was made from: params, digests of data and code, versions; `audiocnn verify` reads it"),
    ("summary.json, folds.csv", "the numbers above"),
    ("histories.json", "loss, accuracy and learning rate of every epoch of every fold; epochs count from 0"),
    (
        "all_fold_histories.pkl",
        "the same as a pickle, for programs that expect it; opening any pickle can run code",
    ),
)
_ALL_CLIPS_FILES = (
    (ALL_CLIPS_WEIGHTS, "weights of the network on all clips; their header says fold -1, since none is held out"),
    (
        ALL_CLIPS_RECORD,
        "how it was trained: clips, KEYs, device, torch, the history of its epochs, sha256 of its weights",
    ),
)


def model_card(
    params: Params,
    results: Sequence[FoldResult],
    header: WeightsHeader,
    repository: str,
    leaks: LeakCounts | None,
    doubts: Sequence[str],
    all_clips: AllClipsRecord | None,
    code: CodeOrigin,
    address: str | None,
) -> str:
    """The text of README.md, without a date: the same run gives the same bytes.

    results: of all folds, in order. header: that of any fold's weights. repository: OWNER/NAME. leaks: None where
    they were not looked for. doubts: sentences on the data. all_clips: of the network on all clips, where there is one.
    code: what trained, and its public address, where there is one.
    """
    sections = [
        f"---\n{front_matter(params, results, repository)}\n---",
        f"# {repository.partition('/')[2]}",
        f"AudioCNN, a small convolutional network, trained to tell {len(header.classes)} classes of sound apart; "
        f"one file of weights for each of {len(results)} folds of a cross-validation"
        f"{', and one network on all clips' if all_clips else ''}.",
        f"## Data\n\n{_data(params, results, header)}\n\nLeaks {leaks.sentence if leaks else 'were not looked for'}.",
        *(f"**Check.** {doubt}" for doubt in doubts),
        f"## Results\n\n{PROTOCOLS[results[0].validation]}",
        headline(results),
        *([_on_all_clips(all_clips, params, results)] if all_clips else []),
        _fold_table(results),
        "Recall by class, on the held-out clips; the 95 % interval (Wilson's) takes those of all folds together:\n\n"
        f"{_recall_table(results)}",
        "![Confusion matrix of the held-out clips](confusion_matrix.png)",
        "Numbers are held-out clips of all folds; colour is their share of the actual class.",
        f"## How to use it\n\n{usage(header, repository, len(results), code, address, all_clips is not None)}",
        f"To get these results again, byte for byte, in a clone of audiocnn: `audiocnn verify hf://{repository}`",
        f"## Limits\n\n{_limits(results, header)}",
        f"## Files\n\n{markdown([*_FILES, *(_ALL_CLIPS_FILES if all_clips else ())], left=2)}",
    ]
    return "\n\n".join(sections) + "\n"


def held_out_clips(params: Params, results: Sequence[FoldResult]) -> str:
    """What was held out, and where it comes from: a sentence without its full stop."""
    clips = sum(len(result.labels) for result in results)
    return f"{_source(params, results[0])} gave {clips} held-out clips in {len(results)} folds"


def _data(params: Params, results: Sequence[FoldResult], header: WeightsHeader) -> str:
    shape = f"mel spectrograms of {header.mels} bands x {header.frames} frames, in dB"
    return f"{held_out_clips(params, results)}, as {shape}. {_recipe(header)}"


def _source(params: Params, result: FoldResult) -> str:
    """The dataset, as the subject of a sentence."""
    if name := dataset_name(params.data.source):
        address = f"https://huggingface.co/datasets/{name.repository}"
        return f"The dataset [{name.repository}]({address}) at revision `{name.revision}`"
    if result.source == "demo":
        return "**The built-in demo: synthesised sounds. These weights know nothing of real ones.** It"
    return "The author's own files; it"


def _recipe(header: WeightsHeader) -> str:
    if header.recipe is None:
        return "How sound became spectrogram is not recorded, so these weights take spectrograms, not sound files."
    numbers = (f"{name} {value}" for name, value in header.recipe.items() if name != "libraries")
    return f"From sound: {', '.join(numbers)}."


def headline(results: Sequence[FoldResult]) -> str:
    """The accuracy and the loss that count, by the names that the table below has for them."""
    accuracy, loss = headline_metrics(results[0].validation)
    return (
        f"Mean ± standard deviation over {len(results)} folds: accuracy (`{accuracy}`) "
        f"**{_mean_std(results, accuracy)}**, cross-entropy (`{loss}`) {_mean_std(results, loss)}."
    )


def _on_all_clips(record: AllClipsRecord, params: Params, results: Sequence[FoldResult]) -> str:
    """What the network on all clips is worth, and where it differs from those of the folds."""
    sentences = [
        f"`{ALL_CLIPS_WEIGHTS}` is {what_it_is_worth(record.clips, record.epochs, results)}.",
        "The number of epochs is the median of those that the folds' weights took.",
    ]
    if results[0].validation != "none":
        sentences.append("Those were chosen as the best on clips that did not train; here nothing was chosen.")
    if params.train.calibrate:
        sentences.append("It has no temperature, which takes clips that do not train.")
    return " ".join(sentences)


def _mean_std(results: Sequence[FoldResult], metric: str) -> str:
    mean, std = mean_std(float(fold_row(result)[metric]) for result in results)
    return f"{mean:.4f} ± {std:.4f}"


def _fold_table(results: Sequence[FoldResult]) -> str:
    rows = [fold_row(result) for result in results]
    whole = ["fold", "dataset_fold", "best_epoch"]
    metrics = [name for name in rows[0] if name not in (*whole, "epochs")]
    cells = [[*(str(row[name]) for name in whole), *(f"{row[name]:.4f}" for name in metrics)] for row in rows]
    mean = ["mean ± std", "", "", *(_mean_std(results, name) for name in metrics)]
    return markdown([[*whole, *metrics], *cells, mean])


def _recall_table(results: Sequence[FoldResult]) -> str:
    names = ("recall_mean", "recall_std", "recall_low", "recall_high")
    rows = [
        [str(row["class"]), str(row["clips"]), *(_decimals(row[name]) for name in names)] for row in class_rows(results)
    ]
    return markdown([["class", "clips", "recall, mean of folds", "std", "95 % from", "to"], *rows])


def _decimals(recall: str | int | float) -> str:
    """A recall with three decimals; a class without clips has an empty text instead."""
    return f"{recall:.3f}" if isinstance(recall, float) else str(recall)


def _limits(results: Sequence[FoldResult], header: WeightsHeader) -> str:
    limits = [
        "It always answers with one of its classes, whatever it hears, and with one only.",
        _calibration(results),
        "The results are of single folds. The mean over folds, which `audiocnn predict` uses, has no held-out clips "
        "of this dataset left to be measured on.",
        "Recordings made otherwise than the dataset's (microphone, distance, noise) were not tested.",
    ]
    if header.recipe is None:
        limits.append("It takes spectrograms that must be made as the dataset's were.")
    correct = [int((result.predictions == result.labels).sum()) for result in results]
    if unequal := unequal_folds(correct, [len(result.labels) for result in results]):
        limits.append(f"{unequal}.")
    if mixed := mixture(results):
        limits.append(f"{mixed}.")
    return "\n".join(f"- {limit}" for limit in limits)


def _calibration(results: Sequence[FoldResult]) -> str:
    numbers = calibration(results)
    error = f"expected calibration error {numbers['error']:.3f} on the held-out clips"
    if "error_uncalibrated" not in numbers:
        return f"Its probabilities are not calibrated: {error}."
    return (
        "Each fold's logits are divided by a temperature that was fitted on the fold that chose its best epoch "
        f"(`train.calibrate`): {error}, {numbers['error_uncalibrated']:.3f} without it."
    )
