"""The reference of an experiment's settings, from its pydantic models and their docstrings."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from docstring_parser import DocstringStyle, parse
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from histodistill.experiment import Experiment
from histodistill.extraction import ExtractionSettings
from histodistill.registry import Registry


@dataclass(frozen=True)
class Key:
    """One key of the YAML file.

    Attributes:
        name: As it is written, nested keys joined by points; ``<name>`` is the user's own.
        values: What it takes.
        default: What holds where it is left out; empty where it must be given.
        meaning: What it does.
    """

    name: str
    values: str
    default: str
    meaning: str


def settings_page() -> str:
    """The whole reference, as Markdown."""
    lines = [
        "# Settings of an experiment",
        "",
        "Every key of `experiment.yaml`, from the code that reads it. Nested keys are joined by",
        "points; `<name>` is a name of your own. A misspelt key is refused.",
        "",
    ]
    return "\n".join([*lines, *_written(sections())])


def extraction_page() -> str:
    """The record of an extraction, as Markdown."""
    lines = [
        "# Settings of an extraction",
        "",
        "What decides what is in a feature file. `histodistill extract` takes them as options,",
        "records them in `extraction.json` and in every feature file, and refuses to mix two kinds",
        "in one folder; a bundle keeps them, so that new slides are extracted in the same way.",
        "",
    ]
    return "\n".join([*lines, *_written(extraction_sections())])


def sections() -> Iterator[tuple[str, type[BaseModel], str]]:
    """The models of an experiment with their headings and the beginnings of their keys."""
    yield "experiment.yaml", Experiment, ""
    yield from _nested(Experiment, "")


def extraction_sections() -> Iterator[tuple[str, type[BaseModel], str]]:
    """The models of an extraction, likewise."""
    yield "extraction.json", ExtractionSettings, ""
    yield from _nested(ExtractionSettings, "")


def _written(
    parts: Iterator[tuple[str, type[BaseModel], str]],
) -> Iterator[str]:
    for title, model, prefix in parts:
        yield from [f"## `{title}`", "", _summary(model), "", *_entries(model, prefix)]


def keys(model: type[BaseModel], prefix: str) -> Iterator[Key]:
    """The keys of one model, those of nested models left to their own section."""
    meanings = attributes(model)
    for name, field in model.model_fields.items():
        values = _named(field.metadata) or _values(field.annotation)
        yield Key(prefix + name, values, _default(field), meanings.get(name, ""))


def attributes(model: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a model and of its bases say of each attribute."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        parsed = parse(kind.__doc__ or "", DocstringStyle.GOOGLE)
        found |= {p.arg_name: " ".join((p.description or "").split()) for p in parsed.params}
    return found


def _nested(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, type[BaseModel], str]]:
    for name, field in model.model_fields.items():
        for kind, own_name in _models(field.annotation):
            place = f"{prefix}{name}." + ("<name>." if own_name else "")
            yield place.rstrip("."), kind, place
            yield from _nested(kind, place)


def _models(annotation: Any, own_name: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    """Models in an annotation, and whether each stands under names of the user's own."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, own_name
    for part in get_args(annotation):
        yield from _models(part, own_name or get_origin(annotation) is dict)


def _summary(model: type[BaseModel]) -> str:
    return " ".join((parse(model.__doc__ or "").short_description or "").split())


def _entries(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """A definition list: the key, and what it does, takes and is by default."""
    for key in keys(model, prefix):
        yield f"`{key.name}`"
        yield f": {key.meaning.replace('``', '`')}"
        yield f"  *Takes* {key.values}. {_default_sentence(key.default)}"
        yield ""


def _default_sentence(default: str) -> str:
    return "**Required.**" if not default else f"*Default:* {default}."


def _values(annotation: Any) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_values(part) for part in parts))
    if origin in (tuple, list):
        return f"a list of {_values(parts[0])}"
    if origin is dict:
        named = _named(getattr(parts[0], "__metadata__", ()))
        return f"{named or 'names'}, each with {_values(parts[1])}"
    if hasattr(annotation, "__metadata__"):
        return _named(annotation.__metadata__) or _values(parts[0])
    return _plain(annotation)


def _named(metadata: Iterable[Any]) -> str:
    """The names that a registry checks; empty where none does."""
    for validator in metadata:
        registry = getattr(getattr(validator, "func", None), "__self__", None)
        if isinstance(registry, Registry):
            return f"{', '.join(f'`{name}`' for name in registry)} or an import path"
    return ""


def _plain(annotation: Any) -> str:
    if annotation is type(None):
        return "`null`"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "the keys below"
    words = {str: "text", int: "a whole number", float: "a number", bool: "`true` or `false`"}
    return words.get(annotation) or getattr(annotation, "__name__", "value").lower()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return "that of each key below"
    if value is None:
        return "`null`"
    if isinstance(value, tuple | list | dict):
        return f"`[{', '.join(map(str, value))}]`" if value else "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
