"""README.md of a published model: front matter that the Hub reads, then what a user must know before trusting it."""

from collections.abc import Sequence

import numpy as np

from audiocnn.config.hub_names import dataset_name
from audiocnn.config.params import Params
from audiocnn.evaluation import metrics as measures
from audiocnn.evaluation.fold_results import FoldResult, mixture
from audiocnn.evaluation.read import headline_metrics
from audiocnn.evaluation.rows import DECIMALS, class_rows, dataset_words, fold_row
from audiocnn.model.weights import WeightsHeader
from audiocnn.text import markdown

_PROTOCOLS = {
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
}


def model_card(params: Params, results: Sequence[FoldResult], header: WeightsHeader, repository: str) -> str:
    """The text of README.md. header: that of any fold's weights. No date in it: the same run gives the same bytes."""
    sections = [
        f"---\n{_front_matter(params, results, repository)}\n---",
        f"# {repository.partition('/')[2]}",
        f"AudioCNN, a small convolutional network, trained to tell {len(header.classes)} classes of sound apart; "
        f"one file of weights for each of {len(results)} folds of a cross-validation.",
        f"## Data\n\n{_data(params, results, header)}",
        f"## Results\n\n{_PROTOCOLS[results[0].validation]}\n\n{_fold_table(results)}",
        f"Recall by class, on the held-out clips:\n\n{_recall_table(results)}",
        "![Confusion matrix of the held-out clips](confusion_matrix.png)",
        f"## How to use it\n\n{_usage(header, repository)}",
        f"## Limits\n\n{_limits(results, header)}",
        "## Files\n\n" + _FILES,
    ]
    return "\n\n".join(sections) + "\n"


_FILES = """| file | what |
|---|---|
| model_fold_K_best.safetensors | weights of fold K at its best epoch; their header holds classes, shape and recipe |
| params.yaml | everything that decided the result |
| summary.json, folds.csv | the numbers above |
| histories.json | loss, accuracy and learning rate of every epoch of every fold; epochs count from 0 |
| all_fold_histories.pkl | the same as a pickle, for programs that expect it; opening any pickle can run code |"""


def _front_matter(params: Params, results: Sequence[FoldResult], repository: str) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    metric, _ = headline_metrics(results[0].validation)
    note = "best epoch chosen on the same fold" if metric == "val_acc" else "not selected on"
    source = dataset_name(params.data.source)
    data = source.repository if source else f"audiocnn-{results[0].source}"
    values = (("accuracy", "Accuracy", metric), ("f1", "Macro F1", "macro_f1"))
    card = ModelCardData(
        model_name=repository.partition("/")[2],
        pipeline_tag="audio-classification",
        library_name="audiocnn",
        tags=["audio", "audio-classification", "mel-spectrogram", "cross-validation"],
        metrics=["accuracy", "f1"],
        datasets=[source.repository] if source else None,
        eval_results=[
            EvalResult(
                task_type="audio-classification",
                task_name="Audio classification",
                dataset_type=data,
                dataset_name=dataset_words(results[0]) if data.startswith("audiocnn-") else data,
                dataset_revision=source.revision if source else None,
                dataset_split=f"{len(results)}-fold cross-validation",
                metric_type=kind,
                metric_name=f"{name}, mean of {len(results)} folds, std {std:.4f} ({note})",
                metric_value=round(mean, DECIMALS),
            )
            for kind, name, column in values
            for mean, std in [_mean_std(results, column)]
        ],
    )
    return str(card.to_yaml())


def _mean_std(results: Sequence[FoldResult], metric: str) -> tuple[float, float]:
    return measures.mean_std(float(fold_row(result)[metric]) for result in results)


def _data(params: Params, results: Sequence[FoldResult], header: WeightsHeader) -> str:
    clips = sum(len(result.labels) for result in results)
    source = dataset_name(params.data.source)
    if source is not None:
        words = f"The dataset [{source.repository}](https://huggingface.co/datasets/{source.repository})"
        words += f" at revision `{source.revision}`"
    elif results[0].source == "demo":
        words = "**The built-in demo: synthesised sounds. These weights know nothing of real ones.** It"
    else:
        words = "The author's own files; it"
    facts = f"{words} gave {clips} held-out clips in {len(results)} folds, as mel spectrograms of {header.mels} bands"
    return f"{facts} x {header.frames} frames, in dB. {_recipe(header)}"


def _recipe(header: WeightsHeader) -> str:
    if header.recipe is None:
        return "How sound became spectrogram is not recorded, so these weights take spectrograms, not sound files."
    numbers = (f"{name} {value}" for name, value in header.recipe.items() if name != "libraries")
    return f"From sound: {', '.join(numbers)}."


def _fold_table(results: Sequence[FoldResult]) -> str:
    rows = [fold_row(result) for result in results]
    metrics = [name for name in rows[0] if name not in ("fold", "dataset_fold", "best_epoch", "epochs")]
    names = ["fold", "dataset_fold", "best_epoch", *metrics]
    lines = [[f"{row[name]:.4f}" if name in metrics else str(row[name]) for name in names] for row in rows]
    pairs = (_mean_std(results, name) for name in metrics)
    return markdown([names, *lines, ["mean ± std", "", "", *(f"{mean:.4f} ± {std:.4f}" for mean, std in pairs)]])


def _recall_table(results: Sequence[FoldResult]) -> str:
    rows = class_rows(results)
    lines = [
        [str(row["class"]), str(row["clips"]), *(_number(row[name]) for name in ("recall_mean", "recall_std"))]
        for row in rows
    ]
    return markdown([["class", "clips", "recall, mean of folds", "std"], *lines])


def _usage(header: WeightsHeader, repository: str) -> str:
    load = (
        "```python\n"
        "import torch\n"
        "from audiocnn.model import AudioCNN\n"
        f'model = AudioCNN.from_pretrained("{repository}", fold={header.fold})\n'
        f"logits = model(torch.zeros(1, {header.mels}, {header.frames}))"
        "  # (batch, mels, frames) in dB; names: model.classes\n"
        "```"
    )
    if header.recipe is None:
        return load
    command = f"audiocnn predict clip.wav --models hf://{repository}"
    return f"{load}\n\nA sound file, by the mean probability of all folds:\n\n```\n{command}\n```"


def _limits(results: Sequence[FoldResult], header: WeightsHeader) -> str:
    confidence = np.concatenate([measures.confidences(result.logits) for result in results])
    correct = np.concatenate([result.predictions == result.labels for result in results])
    error = measures.expected_calibration_error(confidence, correct)
    limits = [
        "It always answers with one of its classes, whatever it hears, and with one only.",
        f"Its probabilities are not calibrated: expected calibration error {error:.3f} on the held-out clips.",
        "The results are of single folds. The mean over folds, which `audiocnn predict` uses, has no held-out clips "
        "of this dataset left to be measured on.",
        "Recordings made otherwise than the dataset's (microphone, distance, noise) were not tested.",
    ]
    if header.recipe is None:
        limits.append("It takes spectrograms that must be made as the dataset's were.")
    if mixed := mixture(results):
        limits.append(f"{mixed}.")
    return "\n".join(f"- {limit}" for limit in limits)


def _number(value: str | int | float) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
