"""The one JSON object that a command prints for a script."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class JsonAnswer:
    """What a command has to say to a script.

    Attributes:
        values: Its results by their names.
        notes: What a reader must know of them, in sentences.
        problems: Why the command failed, in sentences; none where it did not.
    """

    values: dict[str, object] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The object; nothing where nothing was said, as after ``--help``."""
        if not (self.values or self.notes or self.problems):
            return ""
        whole = self.values | {"notes": self.notes, "problems": self.problems}
        return json.dumps(_plain(whole), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: object) -> Any:
    """A value of JSON: paths are texts, tables are lists of rows, what is undefined is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if isinstance(value, Path):
        return str(value.absolute())
    if _is_table(value):
        return _plain(value.to_dict("records"))
    if hasattr(value, "item"):  # a number of numpy
        return _plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_table(value: object) -> TypeGuard[pd.DataFrame]:
    """Whether it is a pandas table; asked without importing pandas."""
    return hasattr(value, "to_dict") and hasattr(value, "columns")
