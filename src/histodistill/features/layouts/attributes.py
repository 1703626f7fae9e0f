"""Attributes recorded in feature files, as plain Python values."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

Attributes = dict[str, str | int | float]


def plain(stored: Mapping[str, object]) -> Attributes:
    """Keep the single values (text and numbers), as Python types; arrays and blanks are left out.

    TRIDENT writes a missing value as the text ``None``: left out too, as is NaN.
    """
    values: Attributes = {}
    for name, value in stored.items():
        scalar = value.item() if isinstance(value, np.generic) else value
        if isinstance(scalar, str):  # h5py gives bytes that are no UTF-8 as lone surrogates
            scalar = scalar.encode("utf-8", errors="surrogateescape")
        if isinstance(scalar, bytes):
            scalar = scalar.decode("utf-8", errors="replace")
        if isinstance(scalar, float) and not math.isfinite(scalar):
            continue
        if isinstance(scalar, str | int | float) and scalar not in ("", "None"):
            values[name] = scalar
    return values


def text(attributes: Attributes, name: str) -> str | None:
    """The attribute as text, or None where it is not recorded."""
    return str(attributes[name]) if name in attributes else None


def number(attributes: Attributes, name: str) -> float | None:
    """The attribute as a positive number, or None where none is recorded."""
    try:
        value = float(attributes[name])
    except (KeyError, ValueError):
        return None
    return value if 0 < value < float("inf") else None
