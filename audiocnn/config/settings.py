"""Reading a YAML file of settings into frozen, validated types, with errors that are sentences."""

import difflib
import json
import re
from pathlib import Path
from reprlib import Repr
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from audiocnn.errors import UserError
from audiocnn.text import displayed


class Settings(BaseModel):
    """A group of settings: frozen, no unknown keys, no silent conversion (`epochs: true` is not 1)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Yaml12FloatLoader(yaml.SafeLoader):
    """SafeLoader that reads floats as YAML 1.2 does, and as DVC does: `1e-05` is a number, not a string."""


_Yaml12FloatLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)

_LARGEST = 1 << 22  # bytes; the dvc.lock of 100 folds has 300 kB
_MOST, _DEEPEST = 100_000, 50  # values, and levels of nesting
_SHOWN = 200  # characters of a key or a value in a message
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = _SHOWN
_TOO_DEEP = f"it is nested more than {_DEEPEST} levels deep"
Group = TypeVar("Group", bound=Settings)


def read_yaml(path: Path) -> Any:
    """A YAML file's value, read without running code.

    Raises UserError where the file is missing or is not YAML.
    """
    try:
        content = path.read_bytes()
        if has_conflict(content):
            raise UserError(f"{path} holds a git merge conflict: settle it in an editor, or take one side as a whole.")
        return parse_yaml(content)
    except FileNotFoundError:
        raise UserError(
            f"{path} is not here: run this in the project's root, or restore it with 'git checkout {path}'."
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text: restore it with 'git checkout {path}'.") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}.") from None


def has_conflict(content: bytes) -> bool:
    """Whether a file holds what git writes where two branches changed the same lines."""
    return re.search(rb"^<<<<<<< ", content, re.MULTILINE) is not None


def parse_yaml(content: bytes) -> Any:
    """The value of a YAML text, read without running code. Raises ValueError where it is not YAML in UTF-8.

    The text may be a stranger's: it has a largest size, and so has what its aliases stand for.
    """
    if len(content) > _LARGEST:
        raise ValueError(f"it has {len(content)} bytes, more than {_LARGEST}")
    try:
        loader = _Yaml12FloatLoader(content.decode())  # a SafeLoader: it builds plain values only
        node = loader.get_single_node()
        if node is None:
            return None
        _extent(node, {})
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except (yaml.YAMLError, LookupError, TypeError, AttributeError) as error:  # !!int and !!timestamp of other text
        raise ValueError(displayed(" ".join(str(error).split()))) from None


class _Extent(NamedTuple):
    """How many values a YAML node stands for, aliases written out, and how deep they are nested."""

    values: int
    levels: int


def _extent(node: yaml.Node, known: dict[int, _Extent | None]) -> _Extent:
    """A node's extent; known: those of nodes by id, None while one is looked at. Raises ValueError where it is huge."""
    if id(node) in known:
        extent = known[id(node)]
        if extent is None:
            raise ValueError("it contains itself")
        return extent
    known[id(node)] = None
    inner = [_extent(child, known) for child in _children(node)]
    extent = _Extent(1 + sum(child.values for child in inner), 1 + max((child.levels for child in inner), default=0))
    if extent.values > _MOST:
        raise ValueError(f"its aliases stand for more than {_MOST} values")
    if extent.levels > _DEEPEST:
        raise ValueError(_TOO_DEEP)
    known[id(node)] = extent
    return extent


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def parse_json(content: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError where it is not JSON in UTF-8, or nested too deeply to go through."""
    try:
        value = json.loads(content)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    _check_depth(value, _DEEPEST)
    return value


def _check_depth(value: Any, levels: int) -> None:
    if not levels:
        raise ValueError(_TOO_DEEP)
    if isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, levels - 1)


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dotted names; lists count as values."""
    if not isinstance(value, dict):
        return {prefix: value}
    found: dict[str, Any] = {}
    for name, inner in value.items():
        found |= flat(inner, f"{prefix}.{name}" if prefix else str(name))
    return found


def read_settings(path: Path, kind: type[Group]) -> Group:
    """A settings file as a validated, frozen object. Raises UserError with one sentence on what is wrong."""
    value = read_yaml(path)
    return validate(kind, {} if value is None else value, str(path))


def validate(kind: type[Group], value: Any, where: str) -> Group:
    """A plain value as a validated, frozen object; `where` names its origin in error messages."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        more = f" ({len(problems) - 1} more to fix after this.)" if len(problems) > 1 else ""
        raise UserError(f"{where}: {_sentence(kind, problems[0])}{more}") from None


def _sentence(kind: type[BaseModel], problem: ErrorDetails) -> str:
    key = _shown_key(problem["loc"]) or "the file"
    if problem["type"] == "extra_forbidden":
        return _unknown_key(kind, problem["loc"])
    if problem["type"] == "missing":
        return f"{key} is missing: add it."
    expected = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if problem["type"] == "value_error" and isinstance(problem["input"], dict):  # of settings that do not go together
        return f"{key}: {expected}."
    return f"{key} is {_SHORT.repr(problem['input'])}, expected {expected}."


def _shown_key(location: tuple[int | str, ...]) -> str:
    """A key's dotted name, which may be any text, for a message."""
    return displayed(".".join(str(part) for part in location))[:_SHOWN]


def _unknown_key(kind: type[BaseModel], location: tuple[int | str, ...]) -> str:
    group: type[BaseModel] = kind
    for part in location[:-1]:
        annotation = group.model_fields[str(part)].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        group = annotation
    prefix = "".join(f"{part}." for part in location[:-1])
    key = _shown_key(location[-1:])
    nearest = difflib.get_close_matches(key, group.model_fields, n=1)
    hint = f"did you mean {prefix}{nearest[0]}? " if nearest else ""
    return f"{prefix}{key} is not a setting: {hint}Allowed here: {', '.join(group.model_fields)}."
