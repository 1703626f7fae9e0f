"""JSON that this package wrote itself, checked when it is read again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from histodistill.errors import InputError
from histodistill.gate.text import read_json

_T = TypeVar("_T")
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def read_record(path: Path, kind: type[_T], remedy: str) -> _T:
    """Read a JSON file as a dataclass, a pydantic model or a plain type.

    Args:
        path: The file.
        kind: What it holds.
        remedy: What to do where it is damaged, as the end of a sentence.

    Raises:
        InputError: It is not what was written: the first problem, and the remedy.
        OSError: It is absent or cannot be read.
    """
    try:
        return TypeAdapter(kind).validate_python(read_json(path))
    except ValidationError as error:
        raise damaged_record(path, first_problem(error), remedy) from error
    except ValueError as error:
        raise damaged_record(path, error, remedy) from error


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, with its place."""
    first: Any = error.errors()[0]
    where = ".".join(str(key) for key in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])


def damaged_record(path: Path, reason: object, remedy: str) -> InputError:
    """The error for a file of ours that holds something else than was written."""
    return InputError(f"{path}: damaged ({reason}); {remedy}")
