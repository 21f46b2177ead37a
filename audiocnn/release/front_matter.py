"""A model card's front matter: the metadata and results that the Hub reads, shows and searches."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from audiocnn.config.hub_names import dataset_name
from audiocnn.config.params import Params
from audiocnn.evaluation.fold_results import FoldResult
from audiocnn.evaluation.metrics import mean_std
from audiocnn.evaluation.read import headline_metrics
from audiocnn.evaluation.rows import DECIMALS, dataset_words, fold_row

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

_TASK = "audio-classification"


def front_matter(params: Params, results: Sequence[FoldResult], repository: str) -> str:
    """YAML, without the lines of dashes around it. repository: OWNER/NAME."""
    from huggingface_hub import ModelCardData

    dataset = dataset_name(params.data.source)
    accuracy, _ = headline_metrics(results[0].validation)
    card = ModelCardData(
        model_name=repository.partition("/")[2],
        pipeline_tag=_TASK,
        library_name="audiocnn",
        tags=["audio", _TASK, "mel-spectrogram", "cross-validation"],
        metrics=["accuracy", "f1"],
        datasets=[dataset.repository] if dataset else None,
        eval_results=[
            _eval_result(params, results, "accuracy", "Accuracy", accuracy),
            _eval_result(params, results, "f1", "Macro F1", "macro_f1"),
        ],
    )
    return str(card.to_yaml())


def _eval_result(params: Params, results: Sequence[FoldResult], kind: str, name: str, column: str) -> "EvalResult":
    """A metric's mean over the folds. kind: the Hub's name of the metric. name: ours. column: its name in folds.csv."""
    from huggingface_hub import EvalResult

    mean, std = mean_std(float(fold_row(result)[column]) for result in results)
    note = "best epoch chosen on the same fold" if results[0].validation == "held_out" else "not selected on"
    dataset = dataset_name(params.data.source)
    return EvalResult(
        task_type=_TASK,
        task_name="Audio classification",
        dataset_type=dataset.repository if dataset else f"audiocnn-{results[0].source}",
        dataset_name=dataset.repository if dataset else dataset_words(results[0]),
        dataset_revision=dataset.revision if dataset else None,
        dataset_split=f"{len(results)}-fold cross-validation",
        metric_type=kind,
        metric_name=f"{name}, mean of {len(results)} folds, std {std:.4f} ({note})",
        metric_value=round(mean, DECIMALS),
    )
