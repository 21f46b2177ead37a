"""A class name is harmless wherever it is shown: in a table, a page, a terminal or a spreadsheet."""

import pytest

from audiocnn.config.class_names import check_class_names, is_class_name
from audiocnn.errors import UserError


@pytest.mark.parametrize("name", ["dog bark", "engine, idling", "犬の声", "a > b & c", "x=1", "R&B", "5", "é" * 200])
def test_an_ordinary_name_is_taken(name: str) -> None:
    assert is_class_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "  ",
        "</script><script>alert(1)</script>",
        "<!--",
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        " =1+1",
        "\uff1d1+1",  # the full-width sign of equality
        "dog;=1+1",  # a spreadsheet may part cells at semicolons
        "dog\n",
        "\x1b[31m",
        "\u202edog",
        "\ud800",
        "d" * 201,
    ],
    ids=ascii,
)
def test_a_name_that_something_would_run_or_obey_is_refused_in_one_sentence(name: str) -> None:
    assert not is_class_name(name)
    with pytest.raises(UserError) as error:
        check_class_names(["dog", name], "results/folds")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300
