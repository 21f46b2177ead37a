#!/usr/bin/env bash
# review.sh BASE [HEAD]: a pull request's comment, as Markdown: what it changes in folds, metrics and params.
# Out of committed files alone; nothing is trained, pulled or checked out. Without HEAD, of the working tree.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  echo "error: $1" >&2
  exit 1
}

[ $# -ge 1 ] || fail "name the revision to compare with: .github/review.sh BASE [HEAD]."
for revision in "$@"; do
  git rev-parse --verify --quiet "$revision^{commit}" > /dev/null || fail "$revision is not a revision in this clone."
done
# What BASE got since the branch left it is not a change of the branch.
base=$(git merge-base "$1" "${2:-HEAD}") || fail "$1 and ${2:-HEAD} have no common commit here: run 'git fetch --unshallow' first."
revisions=("$(git rev-parse --short "$base")" ${2:+"$(git rev-parse --short "$2^{commit}")"})

diff_of() { # what changed in metrics or in params; dvc's own --md would let a value be markup
  local table
  table=$(dvc "$1" diff --json "${revisions[@]}" | python -m audiocnn.comparison.dvc_diff)
  printf '\n`dvc %s diff`\n\n%s\n' "$1" "$table"
}

if ! comparison=$(python -m audiocnn.cli compare --md "${revisions[@]}" 2>&1); then
  [[ $comparison == "error: "* ]] || fail "$comparison"
  comparison="**No comparison:** ${comparison#error: }"
fi

echo "<!-- audiocnn review: the workflow finds its comment by this line -->"
echo "### Results: ${revisions[0]} to ${revisions[1]:-the working tree}"
printf '\n%s\n' "$comparison"
diff_of metrics
diff_of params
