"""A pull request's comment: .github/review.sh run in a real repository, and the workflow that posts what it prints."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from audiocnn.evaluation.fold_results import read_fold_results
from audiocnn.evaluation.write import write_outs
from tests.support.paths import ROOT
from tests.support.processes import environment
from tests.support.results import fold_result, write_fold_results
from tests.support.revisions import commit_and_tag, git

MARK = "<!-- audiocnn review: the workflow finds its comment by this line -->"
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/review.yml").read_text())
REVIEW, COMMENT = WORKFLOW["jobs"]["compare"], WORKFLOW["jobs"]["comment"]


def write_run(root: Path, lr: float, shift: int) -> None:
    """Real metrics of three folds, by the functions that the aggregate stage calls, and the params."""
    folds = [fold_result(fold + shift) | {"fold": fold, "dataset_fold": fold + 1} for fold in range(3)]
    write_fold_results(root, *folds)
    write_outs(read_fold_results(range(3), root / "results/folds"), root / "metrics", root / "models/histories.pkl")
    (root / "params.yaml").write_text(yaml.safe_dump({"folds": [0, 1, 2], "train": {"lr": lr}}))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Commits `bare` (no results), `base`, `elsewhere` (base's later change), and on a branch from base, `head`."""
    root = tmp_path_factory.mktemp("project")
    git(root, "init", "-q", "-b", "main")
    (root / ".github").mkdir()
    shutil.copy(ROOT / ".github/review.sh", root / ".github")
    shutil.copy(ROOT / "dvc.yaml", root)
    (root / ".dvc").mkdir()
    for name in (".dvc/config", ".dvc/.gitignore"):
        shutil.copy(ROOT / name, root / name)
    (root / ".gitignore").write_text("/results\n/models\n")
    (root / "params.yaml").write_text("folds: [0, 1, 2]\n")
    commit_and_tag(root, "bare")
    write_run(root, 0.001, shift=0)
    commit_and_tag(root, "base")
    (root / "params.yaml").write_text("folds: [0, 1, 2]\ntrain: {lr: 0.001, seed: 7}\n")
    commit_and_tag(root, "elsewhere")
    git(root, "checkout", "-qb", "branch", "base")
    write_run(root, 0.0003, shift=3)
    commit_and_tag(root, "head")
    return root


def review(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the script of a repository, where torch cannot be imported."""
    (root.parent / "no_torch").mkdir(exist_ok=True)
    (root.parent / "no_torch/torch.py").write_text("raise ImportError('the script must not need torch')\n")
    variables = environment(
        PYTHONPATH=os.pathsep.join([str(root.parent / "no_torch"), str(ROOT)]),
        DVC_SITE_CACHE_DIR=str(root.parent / "site"),
    )
    command = ["bash", str(root / ".github/review.sh"), *arguments]
    return subprocess.run(command, cwd=root, env=variables, capture_output=True, text=True)


def comment(root: Path, *arguments: str) -> str:
    ran = review(root, *arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def expected(history: Path) -> str:
    """The comment on `head` against `base`."""
    return comment(history, "base", "head")


def shorts(root: Path, *names: str) -> list[str]:
    return [git(root, "rev-parse", "--short", name) for name in names]


@pytest.mark.slow
def test_the_comment_has_the_comparison_the_metrics_and_the_params(history: Path, expected: str) -> None:
    text = expected
    base, head = shorts(history, "base", "head")
    assert text.startswith(f"{MARK}\n### Results: {base} to {head}\n\n**")
    assert "in val_acc: the interval contains 0.** Mean val_acc " in text
    assert f"| fold | {base} | {head} | difference |\n" in text
    metrics, params = text.split("\n`dvc metrics diff`\n\n")[1].split("\n`dvc params diff`\n\n")
    means = [
        json.loads(git(history, "show", f"{name}:metrics/summary.json"))["val_acc"]["mean"] for name in (base, head)
    ]
    row = next(line for line in metrics.splitlines() if "val_acc.mean" in line)
    assert [float(cell) for cell in row.split("|")[3:5]] == pytest.approx(means, abs=1e-4)
    assert [cell.strip() for cell in params.splitlines()[-1].split("|")[1:-1]] == [
        "params.yaml",
        "train.lr",
        "0.001",
        "0.0003",
    ]


@pytest.mark.slow
def test_what_the_base_got_since_is_not_the_pull_requests_change(history: Path, expected: str) -> None:
    assert comment(history, "elsewhere", "head") == expected


@pytest.mark.slow
def test_it_needs_nothing_but_the_clone_and_leaves_it_as_it_was(history: Path, expected: str, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", history.as_uri(), "clone")
    clone = tmp_path / "clone"
    assert comment(clone, "origin/main", "HEAD") == expected
    assert git(clone, "status", "--porcelain") == ""


@pytest.mark.slow
def test_without_a_head_it_looks_at_the_working_tree(history: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", history.as_uri(), "clone")
    write_run(tmp_path / "clone", 0.1, shift=6)
    text = comment(tmp_path / "clone", "HEAD")
    assert text.splitlines()[1].endswith(" to the working tree")
    assert "No change" not in text
    assert "0.0003" in text.split("dvc params diff")[1]


@pytest.mark.slow
def test_a_base_without_metrics_is_said_and_the_new_ones_shown(history: Path) -> None:
    text = comment(history, "bare", "head")
    (bare,) = shorts(history, "bare")
    assert f"**No comparison:** {bare} has no metrics/folds.csv" in text
    assert "val_acc.mean" in text.split("dvc metrics diff")[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [([], "name the revision to compare with"), (["nothing-such"], "nothing-such is not a revision in this clone")],
)
def test_wrong_use_is_one_sentence(history: Path, arguments: list[str], sentence: str) -> None:
    ran = review(history, *arguments)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (1, "", 1)
    assert sentence in ran.stderr


def test_a_clone_that_is_cut_off_above_the_common_commit_is_told_to_fetch(history: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", "--no-single-branch", history.as_uri(), "clone")
    assert "no common commit here: run 'git fetch --unshallow'" in review(tmp_path / "clone", "origin/main").stderr


def test_code_of_the_pull_request_never_runs_with_a_token_that_writes() -> None:
    assert WORKFLOW[True] == "pull_request"  # YAML 1.1's reading of the key `on`
    assert WORKFLOW["permissions"] == {}
    assert REVIEW["permissions"] == {"contents": "read"}
    assert COMMENT["permissions"] == {"pull-requests": "write"}
    assert REVIEW["steps"][0]["with"]["persist-credentials"] is False
    assert [list(step) for step in COMMENT["steps"]] == [["uses", "env", "with"]]  # no checkout, no command
    assert COMMENT["steps"][0]["uses"].startswith("actions/github-script@")


def test_every_action_is_pinned_by_its_commit() -> None:
    for workflow in (ROOT / ".github/workflows").glob("*.yml"):
        uses = re.findall(r"uses: (.*)", workflow.read_text())
        assert [action for action in uses if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", action)] == []


@pytest.mark.slow
def test_a_value_in_params_yaml_is_text_in_the_comment(history: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", history.as_uri(), "clone")
    params = tmp_path / "clone/params.yaml"
    params.write_text(params.read_text() + "note: '![](https://example.com/x.png) <b>@somebody</b> | |'\n")
    row = comment(tmp_path / "clone", "HEAD").splitlines()[-1]
    assert r"\!\[\](https" in row or r"!\[\](https" in row
    assert r"\<b\>@<!-- -->somebody" in row


def test_no_text_of_a_pull_request_is_pasted_into_a_command() -> None:
    commands = [step.get("run", "") for step in REVIEW["steps"]]
    assert not [command for command in [*commands, COMMENT["steps"][0]["with"]["script"]] if "${{" in command]


def test_forks_get_the_summary_alone_and_the_history_is_whole() -> None:
    assert COMMENT["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    assert REVIEW["steps"][0]["with"]["fetch-depth"] == 0


@pytest.mark.slow
def test_the_workflows_step_hands_the_scripts_output_on_unchanged(history: Path, expected: str, tmp_path: Path) -> None:
    command = next(step["run"] for step in REVIEW["steps"] if step.get("id") == "review")
    summary, output = tmp_path / "summary", tmp_path / "output"
    variables = environment(
        PYTHONPATH=str(ROOT),
        DVC_SITE_CACHE_DIR=str(tmp_path / "site"),
        BASE=git(history, "rev-parse", "base"),
        RUNNER_TEMP=str(tmp_path),
        GITHUB_STEP_SUMMARY=str(summary),
        GITHUB_OUTPUT=str(output),
    )
    subprocess.run(["bash", "-e", "-c", command], cwd=history, env=variables, check=True)
    lines = output.read_text().splitlines(keepends=True)
    assert lines[0].removeprefix("comment<<") == lines[-1]
    assert "".join(lines[1:-1]) == summary.read_text() == expected


class Comments(ThreadingHTTPServer):
    """The part of GitHub's API that the workflow uses, on loopback: the comments of pull request 5."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.comments: list[dict[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Comments

    def do_GET(self) -> None:
        assert self.path.startswith("/repos/owner/sounds/issues/5/comments")
        self._answer(self.server.comments)

    def do_POST(self) -> None:
        assert self.path == "/repos/owner/sounds/issues/5/comments"
        self.server.comments.append({"id": 100 + len(self.server.comments), **_BOT, **self._body()})
        self._answer(self.server.comments[-1])

    def do_PATCH(self) -> None:
        ours = next(c for c in self.server.comments if self.path == f"/repos/owner/sounds/issues/comments/{c['id']}")
        ours.update(self._body())
        self._answer(ours)

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return body

    def _answer(self, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


_BOT = {"user": {"login": "github-actions[bot]"}}
# What actions/github-script gives a script: `context`, and `github`, here over plain fetch.
_RUNNER = """
const call = async (method, path, body) => {
  const answer = await fetch(process.env.API + path, {method, body: body && JSON.stringify(body)});
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
};
const at = (o) => `/repos/${o.owner}/${o.repo}/issues`;
const issues = {
  listComments: (o) => call("GET", `${at(o)}/${o.issue_number}/comments`),
  createComment: (o) => call("POST", `${at(o)}/${o.issue_number}/comments`, {body: o.body}),
  updateComment: (o) => call("PATCH", `${at(o)}/comments/${o.comment_id}`, {body: o.body}),
};
const github = {rest: {issues}, paginate: (list, options) => list(options)};
const context = {repo: {owner: "owner", repo: "sounds"}, issue: {number: 5}};
(async () => { SCRIPT })();
"""


@pytest.fixture
def api() -> Iterator[Comments]:
    with Comments() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.skipif(shutil.which("node") is None, reason="the workflow's script is JavaScript")
def test_there_is_one_comment_which_later_pushes_update(api: Comments) -> None:
    def post(text: str) -> None:
        code = _RUNNER.replace("SCRIPT", COMMENT["steps"][0]["with"]["script"])
        variables = environment(API=f"http://127.0.0.1:{api.server_port}", COMMENT=f"{MARK}\n{text}")
        subprocess.run(["node", "-e", code], env=variables, check=True)

    somebody = {"id": 1, "user": {"login": "somebody"}, "body": f"{MARK}\nnot the workflow's"}
    other_bot = {"id": 2, **_BOT, "body": "Coverage went up.\n"}
    api.comments += [dict(somebody), dict(other_bot)]
    post("first `a` $b ${c}")
    post("second")
    assert api.comments[:2] == [somebody, other_bot]
    assert [comment["body"] for comment in api.comments[2:]] == [f"{MARK}\nsecond"]
