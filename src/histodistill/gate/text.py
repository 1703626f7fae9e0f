"""JSON and YAML of bounded size, depth and expansion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from histodistill.errors import InputError
from histodistill.gate.plain import MB, content
from histodistill.gate.unique_keys import UniqueKeyLoader

JSON_BYTES = 256 * MB
# YAML is parsed at a few hundred KB a second; a list of 20,000 genes has a fifth of this.
YAML_BYTES = MB
# What aliases may make of a file: more than any that a person wrote.
_YAML_NODES = 200_000
_CELL_BYTES = MB
_CELL_ENDS = (b"\n", b",", b"\t", b";", b"\r", b"\0")


def require_plausible_cells(path: Path, content: bytes) -> None:
    """Refuse a delimited text with a cell of many MB: a damaged, or quite another file.

    Raises:
        InputError: A MB of it has neither delimiter nor end of line.
    """
    for start in range(0, len(content) - _CELL_BYTES + 1, _CELL_BYTES):
        if not any(content.find(mark, start, start + _CELL_BYTES) >= 0 for mark in _CELL_ENDS):
            raise InputError(
                f"{path}: one of its cells holds more than {_CELL_BYTES // MB} MB; the file is "
                "damaged, or is no table"
            )


def read_json(path: Path, *, most: int = JSON_BYTES) -> Any:
    """Read a JSON file; NaN and infinity, which are no JSON, are refused.

    Raises:
        InputError: It is no regular file, larger than ``most`` or nested too deeply.
        ValueError: It is no JSON in UTF-8.
        OSError: It is absent or cannot be read.
    """
    return parse_json(path, content(path, most=most).decode("utf-8-sig"))  # Windows' mark


def parse_json(path: Path, text: str) -> Any:
    """Parse JSON that was found in a file.

    Raises:
        InputError: It is nested too deeply.
        ValueError: It is no JSON.
    """
    try:
        return json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise _too_deep(path) from None


def yaml_fault(error: Exception) -> str:
    """What stops the reader of a YAML file, in one line."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', '')}"


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain values.

    Raises:
        InputError: It is no regular file, too large, nested too deeply, names a key twice in one
            mapping, or its aliases unfold to more than a person writes.
        yaml.YAMLError: It is no YAML.
        ValueError: It is not UTF-8, or a value in it is impossible.
        OSError: It is absent or cannot be read.
    """
    text = content(path, most=YAML_BYTES).decode("utf-8-sig")
    loader = UniqueKeyLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return None
        if loader.repeated:
            raise InputError(*(f"{path}: {sentence}" for sentence in loader.repeated))
        if _unfolded(root, {}) > _YAML_NODES:
            raise InputError(f"{path}: its aliases (&, *) unfold to a file too large to be meant")
        return loader.construct_document(root)
    except RecursionError:
        raise _too_deep(path) from None
    finally:
        loader.dispose()


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _too_deep(path: Path) -> InputError:
    return InputError(f"{path}: is nested too deeply to be meant; is it the right file?")


def _unfolded(node: yaml.Node, known: dict[int, int]) -> int:
    """Nodes below a node, counted as often as aliases repeat them.

    Raises:
        RecursionError: A node holds itself.
    """
    if id(node) in known:
        return known[id(node)]
    size = 1
    if isinstance(node, yaml.SequenceNode):
        size += sum(_unfolded(item, known) for item in node.value)
    elif isinstance(node, yaml.MappingNode):
        size += sum(_unfolded(item, known) for pair in node.value for item in pair)
    known[id(node)] = size
    return size
