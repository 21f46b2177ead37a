"""What a terminal shows while folds train, and a log without one."""

import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

import audiocnn.config.runtime
from audiocnn.cli.status import curve
from audiocnn.config.runtime import Runtime, check_device, unused_gpu
from audiocnn.errors import UserError
from tests.support.processes import started, wait_until
from tests.support.projects import make_training_project, run_stage, stage_command
from tests.support.terminal import CTRL_C, Terminal, terminal
from tests.support.training import epochs_done

LONG = 100_000  # epochs: it trains until it is stopped
RUN = re.compile(r"^\d of 3 folds, \d+/\d+ epochs", flags=re.MULTILINE)
BAR = re.compile(r"^fold \d: epoch \d+ of at most", flags=re.MULTILINE)


def project(folder: Path, epochs: int) -> dict[str, Any]:
    setting = make_training_project(folder, epochs)
    runtime = {"device": "cpu", "jobs": 2, "wandb": {"mode": "disabled"}}
    (folder / "runtime.yaml").write_text(yaml.safe_dump(runtime))
    return setting


def shows_all(screen: Terminal) -> bool:
    return len(RUN.findall(screen.shown())) == 1 and len(BAR.findall(screen.shown())) == 2


def trained_more(folder: Path, epochs: int) -> bool:
    return epochs_done(folder / "checkpoints") > epochs + 1


@pytest.mark.slow
def test_a_terminal_has_one_line_on_the_run_and_a_bar_a_fold_at_every_width_and_ctrl_c_is_one_line(
    tmp_path: Path,
) -> None:
    with terminal(project(tmp_path, LONG), *stage_command()) as screen:
        screen.read_until(lambda: "'audiocnn status --watch' follows" in screen.shown())
        assert "training on cpu, 2 folds at a time; folds: 3\ndata: demo, 60 clips, 3 classes\n" in screen.shown()
        for columns, rows in ((80, 24), (40, 24), (120, 40)):
            screen.resize(columns, rows)
            for _ in range(3):
                before = epochs_done(tmp_path / "checkpoints")
                screen.read_until(partial(trained_more, tmp_path, before))
            screen.read_until(partial(shows_all, screen))
        assert all(len(line) <= 80 for line in screen.all_lines() if "|" not in line)
        # The bars are drawn over: nothing of them has scrolled away but what a change of the width left.
        assert len(BAR.findall("\n".join(screen.all_lines()))) <= 2 + 2 * 3
        screen.press(CTRL_C)
        assert screen.read_to_end() == 130
        *_, last = screen.shown().splitlines()
        assert last == "stopped by SIGINT: run the same command again to resume."
        assert not RUN.findall(screen.shown()) + BAR.findall(screen.shown())
        assert "^C" not in screen.shown()


@pytest.mark.slow
def test_status_follows_from_another_terminal_until_all_folds_are_finished(tmp_path: Path) -> None:
    setting = project(tmp_path, 30)
    watching = sys.executable, "-m", "audiocnn.cli", "status", "--watch"
    with started(setting, *stage_command(), log=tmp_path / "log"):
        wait_until(lambda: epochs_done(tmp_path / "checkpoints") > 1)
        with terminal(setting, *watching) as screen:
            screen.read_until(lambda: "of 3 folds are finished" in screen.shown())
            assert screen.read_to_end() == 0
            shown = screen.shown()
    assert shown.splitlines()[0] == "3 of 3 folds are finished"
    assert len(re.findall(r"^\d     finished +30 .*[▁▂▃▄▅▆▇█]{12}  [▁▂▃▄▅▆▇█]{12}$", shown, re.MULTILINE)) == 3
    assert len([line for line in screen.all_lines() if line]) == 5  # shown in its own place


@pytest.mark.slow
def test_a_log_has_few_epochs_of_a_fold_and_all_that_happened_to_it(tmp_path: Path) -> None:
    setting = project(tmp_path, 6)
    setting["env"]["AUDIOCNN_LOG_SECONDS"] = "3600"
    printed = run_stage(setting)
    assert sorted(re.findall(r"^fold (\d): epoch", printed, flags=re.MULTILINE)) == ["0", "1", "2"]
    assert printed.count(": finished, best epoch") == 3
    assert "|" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_a_curve_is_drawn_over_all_epochs_in_twelve_characters_at_most() -> None:
    assert curve([0.0, 0.5, 1.0], 0.0, 1.0) == "▁▅█"
    assert curve([0.1 * epoch for epoch in range(100)], 0.0, 9.9) == "▁▂▂▃▄▄▅▅▆▇▇█"
    assert curve([], 0.0, 1.0) == ""
    assert curve([0.3], 0.3, 0.3, "_@") == "@"


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_here_is_one_sentence(device: str, tmp_path: Path) -> None:
    setting = project(tmp_path, 1)
    (tmp_path / "runtime.yaml").write_text(yaml.safe_dump({"device": device, "jobs": 1}))
    printed = run_stage(setting, expect=1)
    assert f"error: runtime.yaml: device is {device}, and torch finds none" in printed
    assert "Traceback" not in printed


def test_a_gpu_that_torch_cannot_use_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audiocnn.config.runtime, "_DEV", tmp_path)
    assert unused_gpu(Runtime(), "cpu") is None
    (tmp_path / "nvidia0").touch()
    assert "a GPU is here, but torch cannot use it (torch" in (unused_gpu(Runtime(), "cpu") or "")
    assert unused_gpu(Runtime(device="cpu"), "cpu") is None  # it was asked for
    with pytest.raises(UserError, match=r"device is cuda, and torch finds none \(torch"):
        check_device("cuda")
