"""A biomarker to predict: where its status stands, and what the cells there mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from histodistill.errors import InputError
from histodistill.settings import Settings


def _keys_as_text(raw: Any) -> Any:
    """The keys of a mapping as cells write them; YAML reads a bare 1 as a number."""
    if not isinstance(raw, Mapping):
        return raw
    unclear = [key for key in raw if key is None or isinstance(key, bool)]
    if unclear:
        raise ValueError(f"{unclear[0]} is not text; write the cell's text in quotes")
    return {str(key): value for key, value in raw.items()}


class Target(Settings):
    """A biomarker to predict, and the column that holds its status.

    Attributes:
        name: The name in results, such as ``ER``.
        column: The column of the clinical table; by default the target's name.
        classes: What the column may say; a label is a position in this list.
        positive: Which of exactly two classes is positive; None for more than two classes.
        ordered: Whether more than two classes stand in an order, as in ``[zero, low, positive]``:
            the loss counts an answer two classes away for more than one next to the label, and
            tables hold what such answers are judged by.
        map: Cells that say a class in other words, or (null) that nothing is known:
            ``{Pos: positive, Equivocal: null}``.
    """

    name: str = Field(exclude=True)
    column: str
    classes: tuple[str, ...]
    positive: str | None = None
    ordered: bool = False
    map: Annotated[dict[str, str | None], BeforeValidator(_keys_as_text)] = Field(
        default_factory=dict
    )

    @model_validator(mode="before")
    @classmethod
    def _column_is_named_after_the_target(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping) and raw.get("column") is None and "name" in raw:
            return {**raw, "column": raw["name"]}
        return raw

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(classes) < 2 or len(set(classes)) < len(classes):
            raise ValueError(f"declare two or more different classes, not {list(classes)}")
        if any(not name or name != name.strip() for name in classes):
            raise ValueError(
                "a class name is empty or has blanks around it; an empty cell already means unknown"
            )
        return classes

    @model_validator(mode="after")
    def _names_are_classes(self) -> Target:
        if len(self.classes) == 2 and self.positive not in self.classes:
            raise ValueError(
                f"`positive` must say which of its classes is positive, {' or '.join(self.classes)}"
            )
        if len(self.classes) > 2 and self.positive is not None:
            raise ValueError(
                "only a target of two classes has a positive one; "
                f"remove `positive: {self.positive}`"
            )
        if self.ordered and len(self.classes) == 2:
            raise ValueError("two classes are always in order; remove `ordered: true`")
        for cell, meaning in self.map.items():
            if meaning is not None and meaning not in self.classes:
                raise ValueError(
                    f"`map` says that '{cell}' means '{meaning}', which is none of the classes "
                    f"{', '.join(self.classes)}; write one of them, or null for unknown"
                )
        return self

    @property
    def positive_index(self) -> int | None:
        """The label of the positive class; None for more than two classes."""
        return None if self.positive is None else self.classes.index(self.positive)


def declared_target(
    name: str,
    column: str | None,
    classes: tuple[str, ...],
    positive: str | None = None,
    meanings: Mapping[str, str | None] | None = None,
) -> Target:
    """A target declared elsewhere than in an experiment's file.

    Raises:
        InputError: The classes, the positive one or the map make no sense.
    """
    try:
        return Target(
            name=name,
            column=column or name,
            classes=classes,
            positive=positive,
            map=dict(meanings or {}),
        )
    except ValidationError as error:
        reasons = [problem["msg"].removeprefix("Value error, ") for problem in error.errors()]
        raise InputError(*(f"Target '{name}': {reason}." for reason in reasons)) from None


def with_names(raw: Any) -> Any:
    """Targets by name as an experiment's file has them, each told its name."""
    if not isinstance(raw, Mapping):
        return raw
    return {
        name: {**settings, "name": str(name)} if isinstance(settings, Mapping) else settings
        for name, settings in raw.items()
    }
