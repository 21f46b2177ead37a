"""Reading a YAML file of settings into frozen, validated types, with errors that are sentences."""

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from audiocnn.errors import UserError


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

Group = TypeVar("Group", bound=Settings)


def read_yaml(path: Path) -> Any:
    """A YAML file's value, read without running code.

    Raises UserError where the file is missing or is not YAML.
    """
    try:
        return parse_yaml(path.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"{path} is not here: run this in the project's root, or restore it with 'git checkout {path}'."
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text: restore it with 'git checkout {path}'.") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}.") from None


def parse_yaml(content: bytes) -> Any:
    """The value of a YAML text, read without running code. Raises ValueError where it is not YAML in UTF-8."""
    text = content.decode()
    try:
        # A SafeLoader subclass: it builds plain values only.
        return yaml.load(text, Loader=_Yaml12FloatLoader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


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
    key = ".".join(str(part) for part in problem["loc"]) or "the file"
    if problem["type"] == "extra_forbidden":
        return _unknown_key(kind, problem["loc"])
    if problem["type"] == "missing":
        return f"{key} is missing: add it."
    expected = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if problem["type"] == "value_error" and isinstance(problem["input"], dict):  # of settings that do not go together
        return f"{key}: {expected}."
    return f"{key} is {problem['input']!r}, expected {expected}."


def _unknown_key(kind: type[BaseModel], location: tuple[int | str, ...]) -> str:
    group: type[BaseModel] = kind
    for part in location[:-1]:
        annotation = group.model_fields[str(part)].annotation
        assert isinstance(annotation, type)
        assert issubclass(annotation, BaseModel)
        group = annotation
    prefix = "".join(f"{part}." for part in location[:-1])
    key = str(location[-1])
    nearest = difflib.get_close_matches(key, group.model_fields, n=1)
    hint = f"did you mean {prefix}{nearest[0]}? " if nearest else ""
    return f"{prefix}{key} is not a setting: {hint}Allowed here: {', '.join(group.model_fields)}."
