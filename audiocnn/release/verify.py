"""A release made again from what its origin.json names, in a folder of its own. Nothing of it is trusted or run."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from audiocnn.checkpoints.key import code_digests, torch_version
from audiocnn.comparison.differing import differing
from audiocnn.config.arithmetic import is_x86_64
from audiocnn.config.data_params import CLIPS, DATASET_FILES, DataParams
from audiocnn.config.hub_names import DATASETS
from audiocnn.config.runtime import HubSettings, Runtime, device_type
from audiocnn.data.fetch import fetch
from audiocnn.data.prepare import prepare
from audiocnn.data.prepared import META, read_meta, verify_arrays
from audiocnn.errors import UserError
from audiocnn.files import digest, sha256_of_file, write_json
from audiocnn.folds.plan import Plan, make_plan
from audiocnn.folds.supervisor import train_folds
from audiocnn.processes import StopSignal
from audiocnn.release.origin import DataOrigin, Origin, versions
from audiocnn.release.place import Release

_MOST_CLIPS_BYTES = 100_000_000  # of a dataset's clips.csv, which no release pins
_MARK = "verify.json"  # in every folder that verify works in, so that it takes no other


class Row(NamedTuple):
    """What made a release and what is here instead, in words. differs: what is here, where it is or may be another."""

    what: str
    released: str
    here: str
    differs: str | None = None


def wanted_folds(release: Release, folds: Sequence[int] | None) -> list[int]:
    """The folds to train; None for all. Raises UserError where the release does not have one of them."""
    present = sorted(release.origin.folds)
    if folds is None:
        return present
    if unknown := [fold for fold in folds if fold not in present]:
        raise UserError(f"{release.place} has no fold {unknown[0]}: it has {', '.join(map(str, present))}.")
    return sorted(set(folds))


def comparison(origin: Origin, folds: Sequence[int], data: Path | None, runtime: Runtime) -> list[Row]:
    """What made these folds, and what there is here: code, versions, data, arithmetic, device."""
    here = {**versions(), "torch": torch_version()}
    released = {**origin.versions, "torch": _of_folds(origin, folds, "torch")}
    return [
        _code(origin),
        *(_row(name, version, here.get(name, "none")) for name, version in sorted(released.items())),
        Row("data", _described(origin.data), f"{_data_here(origin.data, data)}, to be checked by sha256"),
        _arithmetic(origin.params.train.arithmetic),
        _row("device", _of_folds(origin, folds, "device"), device_type(runtime)),
    ]


def _row(what: str, released: str, here: str) -> Row:
    return Row(what, released, "the same") if released == here else Row(what, released, f"{here}: differs", here)


def _of_folds(origin: Origin, folds: Sequence[int], name: str) -> str:
    """What the folds were trained with: one, unless they were trained in several places."""
    return ", ".join(sorted({getattr(origin.folds[fold], name) for fold in folds}))


def _code(origin: Origin) -> Row:
    commit = f"commit {origin.code.commit[:12]}" if origin.code.commit else "of no commit"
    released = f"{commit}, with changes" if origin.code.changed else commit
    changed = differing(origin.code.files, code_digests())
    if not changed:
        return Row("code", released, "the same")
    names = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    get = f"; git fetch, then git checkout {origin.code.commit}, gets the released code" if origin.code.commit else ""
    but = " but for its author's changes" if origin.code.commit and origin.code.changed else ""
    return Row("code", released, f"{len(changed)} of {len(origin.code.files)} files differ", f"{names} here{get}{but}")


def _arithmetic(released: str) -> Row:
    if released == "portable" and is_x86_64():
        return Row("arithmetic", released, "any x86-64 CPU with AVX2 will do")
    return Row("arithmetic", released, f"{_cpu()}: may differ", _cpu())


def _described(data: DataOrigin) -> str:
    size = f"{sum(file.size for file in data.files.values()) / 1e6:,.1f} MB"
    return f"{data.repository} at {str(data.commit)[:12]}, {size}" if data.kind == "hub" else f"{data.kind}, {size}"


def _data_here(data: DataOrigin, folder: Path | None) -> str:
    if folder is not None:
        return str(folder)
    return {"demo": "made here", "hub": "downloaded", "folder": "your copy"}[data.kind]


def _cpu() -> str:
    """The name of this machine's CPU, as far as it is known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def work_folder(release: Release) -> Path:
    """Where a release is made again by default: the same release goes to the same folder, and resumes there."""
    return Path("verify") / digest(release.origin.model_dump(mode="json"))[:12]


def make_again(release: Release, folds: Sequence[int], data: Path | None, work: Path, runtime: Runtime) -> Plan:
    """Gets the data, prepares them, trains the folds in `work`, and returns the plan that has their results.

    data: a copy of the pickles, else they are made or downloaded. work: new, empty, or of an earlier call. Uploads and
    W&B are off. Raises UserError, and Stopped after a signal.
    """
    _take(work, release)
    prepared = work / "data/prepared"
    if data is not None or not _is_prepared(prepared, release.origin):
        _get_data(release, data, work)
        prepare(work / "data/raw", prepared, release.origin.params.folds)
    os.environ["WANDB_MODE"] = "disabled"  # the workers' as well; a variable overrules runtime.yaml
    quiet = runtime.model_copy(update={"hub": HubSettings()})
    plan = make_plan(release.origin.params, quiet, prepared, work / "checkpoints")
    train_folds(plan, folds, quiet, StopSignal())  # before it, Ctrl-C ends at once: a download may take long
    return plan


def _take(work: Path, release: Release) -> None:
    """Marks a folder as verify's. Raises UserError where it holds something else: its data/raw would be replaced."""
    is_free = not work.exists() or (work.is_dir() and not any(work.iterdir()))
    if not is_free and not (work / _MARK).is_file():
        raise UserError(f"{work} holds other files: name a new or an empty folder for --work-dir, or an earlier one.")
    write_json(work / _MARK, {"release": release.place})


def _is_prepared(prepared: Path, origin: Origin) -> bool:
    """Whether the released data are there already, to the last bit."""
    try:
        if sha256_of_file(prepared / META) != origin.data.meta:
            return False
        verify_arrays(prepared, read_meta(prepared))
    except (OSError, UserError):
        return False
    return True


def _get_data(release: Release, folder: Path | None, work: Path) -> None:
    """Makes data/raw in `work` hold the released pickles. Raises UserError where they are other ones."""
    origin, raw = release.origin.data, work / "data/raw"
    record = fetch(DataParams(source=_source(release, folder)), raw, work / "data/staging")
    here = {name: file.sha256 for name, file in record.files.items() if name != CLIPS}  # no release pins that one
    released = {name: file.sha256 for name, file in origin.files.items()}
    for name in differing(released, here):
        raise UserError(
            f"{name} is not the released one: its sha256 is {here.get(name, 'that of no file')} here and "
            f"{released.get(name, 'that of no file')} in {release.place}; name the data it was made from."
        )
    # The weights' header names the kind of source: a copy of the Hub's files counts as the Hub's.
    own = record.model_copy(update={"kind": origin.kind, "repository": origin.repository, "commit": origin.commit})
    write_json(raw / "source.json", own.model_dump(exclude_none=True))


def _source(release: Release, folder: Path | None) -> str:
    """data.source for these data. Raises UserError where they are not to be had, or of another size."""
    data = release.origin.data
    if folder is not None:
        if not folder.is_dir():
            raise UserError(f"--data is {folder}, which is not a folder here: name the one that holds the pickles.")
        return str(folder.absolute())
    if data.kind == "folder":
        raise UserError(f"{release.place} is made from its author's own files: name your copy of them with --data DIR.")
    if data.kind == "demo":
        return "demo"
    _check_sizes(release, str(data.repository), str(data.commit))
    return f"{DATASETS}{data.repository}@{data.commit}"


def _check_sizes(release: Release, repository: str, commit: str) -> None:
    """Raises UserError where the Hub lists other sizes than the release pins: a stranger chose what is downloaded."""
    from audiocnn.hub.datasets import sizes

    listed = {name: size for name, size in sizes(repository, commit).items() if name in DATASET_FILES}
    pinned = {name: file.size for name, file in release.origin.data.files.items()}
    if listed.pop(CLIPS, 0) > _MOST_CLIPS_BYTES:
        raise UserError(f"{CLIPS} of {repository} is too large to be one: name the data with --data DIR.")
    for name in differing(pinned, listed):
        raise UserError(
            f"{name} of {repository} has {listed.get(name, 'no')} bytes, and {release.place} pins "
            f"{pinned.get(name, 'none')}: it is not downloaded; name the data it was made from with --data DIR."
        )
