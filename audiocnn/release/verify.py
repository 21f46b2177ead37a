"""A release made again from what its origin.json names, and compared byte for byte. Nothing of it is trusted or run."""

import hashlib
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from audiocnn.checkpoints.failure import error_of
from audiocnn.checkpoints.key import code_digests
from audiocnn.comparison.differing import differing
from audiocnn.config.arithmetic import is_x86_64
from audiocnn.config.data_params import PICKLES, RECIPE, DataParams
from audiocnn.config.hub_names import DATASETS, is_repository, model_name
from audiocnn.config.outs import fold_result_name, weights_name
from audiocnn.config.params import Params
from audiocnn.config.runtime import HubSettings, Runtime, WandbSettings, device_type
from audiocnn.config.settings import flat
from audiocnn.data.fetch import fetch
from audiocnn.data.prepare import prepare
from audiocnn.data.prepared import META
from audiocnn.errors import UserError
from audiocnn.evaluation.fold_results import FoldResult
from audiocnn.files import digest, sha256_of_file
from audiocnn.folds.dvc import current_session
from audiocnn.folds.plan import Plan, make_plan
from audiocnn.folds.supervisor import train_folds
from audiocnn.inference.find_weights import untrusted_header
from audiocnn.processes import StopSignal
from audiocnn.release.origin import ORIGIN, Origin, versions
from audiocnn.text import displayed

_LARGEST_ORIGIN = 1 << 20  # bytes
_LARGEST_FILE = 1 << 30  # bytes
# What a stranger's params may ask for: far more than a sensible run, far less than a machine.
_LARGEST = {
    "model.conv1d_channels": 4096,
    "model.hidden_units": 65_536,
    "train.epochs": 100_000,
    "train.batch_size": 65_536,
    "train.threads": 1024,
}
_LARGEST_CHANNELS = 4096

Row = tuple[str, str, str]


@dataclass(frozen=True)
class Release:
    """A release at its place. file: a file of it, by its name, as a path on this machine; raises UserError."""

    place: str
    origin: Origin
    file: Callable[[str], Path]


def open_release(place: str) -> Release:
    """The release in a folder, or in the Hub's repository hf://OWNER/NAME[@REVISION]. Raises UserError."""
    file = _files_of(place)
    path = file(ORIGIN)
    if path.stat().st_size > _LARGEST_ORIGIN:
        raise UserError(f"{ORIGIN} of {place} is larger than {_LARGEST_ORIGIN} bytes: publish did not write it.")
    try:
        origin = Origin.model_validate_json(path.read_bytes())
    except (ValidationError, RecursionError) as error:
        problem = str(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else "too many brackets"
        raise UserError(f"{ORIGIN} of {place} is not one of this version ({problem[:120]}): get it again.") from None
    _check(origin, place)
    return Release(place, origin, file)


def _files_of(place: str) -> Callable[[str], Path]:
    if not place.startswith("hf://"):
        folder = Path(place)
        if not folder.is_dir():
            raise UserError(f"{place} is not a folder here: name one that holds a release, or hf://OWNER/NAME.")
        return lambda name: _in_folder(folder, name)
    name = model_name(place)
    if name is None:
        raise UserError(f"{place!r} is not a release: expected hf://OWNER/NAME, hf://OWNER/NAME@REVISION or a folder.")
    from audiocnn.hub.models import ModelRepository

    repository = ModelRepository(name, _LARGEST_FILE)

    def in_repository(wanted: str) -> Path:
        if wanted not in repository.names:
            raise _lacks(place, wanted)
        return repository.fetch(wanted)

    return in_repository


def _in_folder(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise _lacks(str(folder), name)
    return folder / name


def _lacks(place: str, name: str) -> UserError:
    what = "which says what it was made from" if name == ORIGIN else "whose bytes are compared"
    return UserError(f"{place} has no {name}, {what}: ask its author to publish it again with this version.")


def _check(origin: Origin, place: str) -> None:
    """Raises UserError where a release has no pins, or asks for what no sensible run does."""
    if not origin.data.files or origin.data.meta is None:
        raise UserError(
            f"{place} does not pin its data, so nobody can tell whether other data are the same: ask its author to "
            "publish it again where data/raw and data/prepared are."
        )
    if foreign := sorted(origin.data.files.keys() - {*PICKLES, RECIPE}):
        raise UserError(f"{place} pins {displayed(foreign[0])[:80]}, which is not a file of a dataset: get it again.")
    if unlisted := sorted(origin.folds.keys() - set(origin.params.folds)):
        raise UserError(f"{place} has fold {unlisted[0]}, which its params do not list: get it again.")
    values = flat(origin.params.model_dump())
    for key, largest in _LARGEST.items():
        if values[key] > largest:
            raise UserError(f"{place} asks for {key} {values[key]}, more than the {largest} that verify allows.")
    if max(origin.params.model.encoder_channels) > _LARGEST_CHANNELS:
        raise UserError(f"{place} asks for more than {_LARGEST_CHANNELS} model.encoder_channels.")
    repository = origin.data.repository
    if origin.data.kind == "hub" and not (repository and is_repository(repository) and origin.data.commit):
        raise UserError(f"{place} names no repository and commit of its data: ask its author to publish it again.")


def comparison(origin: Origin, runtime: Runtime) -> list[Row]:
    """What made the release, what there is here, and whether they agree: code, versions, arithmetic, device."""
    here = code_digests()
    changed = differing(origin.code.files, here)
    name = f"commit {(origin.code.commit or 'unknown')[:12]}{', with changes' if origin.code.changed else ''}"
    rows = [("code", name, "the same" if not changed else f"differs: {', '.join(changed[:3])}")]
    installed = versions()
    for library, released in sorted(origin.versions.items()):
        found = installed.get(library, "none")
        rows.append((library, released, "the same" if found == released else f"differs: {found}"))
    arithmetic, device = origin.params.train.arithmetic, device_type(runtime)
    portable = arithmetic == "portable" and is_x86_64()
    rows.append(("arithmetic", arithmetic, "any x86-64 CPU with AVX2 will do" if portable else f"{_cpu()} here"))
    rows.append(("device", origin.device, "the same" if device == origin.device else f"differs: {device}"))
    return rows


def _cpu() -> str:
    return platform.processor() or platform.machine()


def make_again(release: Release, folds: Sequence[int], data: Path | None, work: Path, runtime: Runtime) -> Plan:
    """Gets the data, prepares them, trains the folds in `work`, and returns the plan that has their results.

    data: the folder of the pickles, where the release is of a folder. Raises UserError, and Stopped after a signal.
    """
    origin = release.origin
    unknown = [fold for fold in folds if fold not in origin.folds]
    if unknown:
        raise UserError(f"{release.place} has no fold {unknown[0]}: it has {', '.join(map(str, origin.folds))}.")
    raw, prepared = work / "data/raw", work / "data/prepared"
    record = fetch(DataParams(source=_source(release, data)), raw, work / "data/staging")
    for name in differing(origin.data.files, record.files):
        released, here = origin.data.files.get(name), record.files.get(name)
        raise UserError(
            f"{name} is not the released one: its sha256 is {here.sha256 if here else 'that of no file'} here and "
            f"{released.sha256 if released else 'that of no file'} in {release.place}; name the data it was made from."
        )
    prepare(raw, prepared, origin.params.folds)
    quiet = runtime.model_copy(update={"wandb": WandbSettings(mode="disabled"), "hub": HubSettings()})
    plan = make_plan(_local(origin.params), quiet, prepared, work / "checkpoints")
    train_folds(plan, folds, quiet, StopSignal())  # before it, Ctrl-C ends at once: a download may take long
    return plan


def _source(release: Release, data: Path | None) -> str:
    origin = release.origin.data
    if data is not None:
        return str(data.absolute())
    if origin.kind == "folder":
        raise UserError(f"{release.place} is made from its author's own files: name your copy of them with --data DIR.")
    return "demo" if origin.kind == "demo" else f"{DATASETS}{origin.repository}@{origin.commit}"


def _local(params: Params) -> Params:
    return params.model_copy(update={"data": DataParams()})


def exchanged(release: Release, fold: int) -> list[str]:
    """A line where the release's own weights of a fold are not the ones that its origin.json records."""
    name = weights_name(fold)
    if sha256_of_file(release.file(name)) == release.origin.folds[fold].weights:
        return []
    return [f"{name} in {release.place} is not the file that its {ORIGIN} records: it is damaged or was exchanged"]


def differences(release: Release, plan: Plan, fold: int) -> list[str]:
    """How a fold made again differs from what origin.json records, in lines; none where both files are identical.

    Raises UserError where the fold failed.
    """
    results = plan.results(fold)
    if results is None:
        failure = error_of(plan.folder(fold), current_session())
        raise UserError(failure or f"fold {fold} did not finish: run this again.")
    recorded = release.origin.folds[fold]
    released = {weights_name(fold): recorded.weights, fold_result_name(fold): recorded.result}
    here = {name: hashlib.sha256(content).hexdigest() for name, content in results.items()}
    changed = differing(here, released)
    lines = [f"{name} differs: sha256 {here[name]} here, {released[name]} released" for name in changed]
    return [*lines, _best(release, fold, results[fold_result_name(fold)])] if lines else []


def _best(release: Release, fold: int, result: bytes) -> str:
    """The fold's best epoch and accuracy, here and released: how far apart the two are."""
    here = FoldResult.model_validate_json(result)
    ours = f"best epoch {here.best_epoch} with val_acc {here.history.val_accuracy[here.best_epoch]:.4f} here"
    header = untrusted_header(release.file(weights_name(fold)))
    return ours if header is None else f"{ours}, {header.epoch} with {header.accuracy:.4f} released"


def reasons(release: Release, plan: Plan, rows: Sequence[Row]) -> list[str]:
    """What may have made the difference, the likeliest first: code, versions, data, arithmetic, CPU."""
    differs = {name: here.removeprefix("differs: ") for name, _, here in rows if here.startswith("differs: ")}
    found = []
    if "code" in differs:
        commit = release.origin.code.commit
        get = f"; 'git checkout {commit}' gets the released one" if commit else ""
        found.append(f"code: {differs['code']}{get}")
    found += [f"version of {name}: {differs[name]} here" for name in sorted(release.origin.versions) if name in differs]
    if sha256_of_file(plan.prepared / META) != release.origin.data.meta:
        found.append("data: the pickles are the released ones, but are prepared otherwise")
    if release.origin.params.train.arithmetic == "native" or not is_x86_64():
        found.append(f"arithmetic: the released one holds for one kind of CPU, and this is {_cpu()}")
    if "device" in differs:
        found.append(f"device: {release.origin.device} released, {differs['device']} here")
    return found


def work_folder(release: Release) -> Path:
    """Where a release is made again by default: the same release goes to the same folder, and resumes there."""
    return Path("verify") / digest(release.origin.model_dump(mode="json"))[:12]
