"""What a bundle says of itself."""

from __future__ import annotations

from typing import Any

from pydantic import Field, FiniteFloat, PositiveInt, model_validator

from histodistill.settings import Settings

# Raised whenever a bundle can no longer be read by older code.
FORMAT = 2


class FeatureOrigin(Settings):
    """The patch features that a model was trained on.

    Attributes:
        width: Size F of a patch feature.
        encoder: Patch encoder, where the files record it.
        patch_um: Edge of a patch in µm, where the files record it.
        tiling: Everything that the files record of the tiling.
        extraction: Complete extraction settings as JSON, where the features were made by
            `histodistill extract`; `predict --slides` extracts new slides with them.
    """

    width: PositiveInt
    encoder: str | None = None
    patch_um: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    tiling: dict[str, str | int | FiniteFloat] = Field(default_factory=dict)
    extraction: str | None = None


class BundleInfo(Settings):
    """What a bundle predicts, from what, and where it comes from.

    Attributes:
        format: Version of the bundle's layout.
        target: What it predicts.
        classes: Class names, in the order of the networks' outputs.
        positive: The positive one of two classes; None beyond two.
        ordered: Whether more than two classes stand in an order; written only where they do, so
            that other bundles are read by earlier versions as well.
        features: Patch features that it reads; None where it reads genes alone.
        blocks: For each genomic block, the settings with which its table was read.
        recipe: Name of the recipe.
        provenance: Data, settings, versions and seeds behind it, as plain JSON values.
    """

    format: int = FORMAT
    target: str
    classes: tuple[str, ...] = Field(min_length=2)
    positive: str | None = None
    ordered: bool = Field(default=False, exclude_if=lambda ordered: not ordered)
    features: FeatureOrigin | None = None
    blocks: dict[str, dict[str, Any]] = Field(default_factory=dict)
    recipe: str
    provenance: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _positive_is_one_of_two(self) -> BundleInfo:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        if (self.positive is None) == (len(self.classes) == 2):
            raise ValueError("two classes have a positive one, and more have none")
        if self.positive is not None and self.positive not in self.classes:
            raise ValueError(f"the positive class {self.positive} is none of the classes")
        if self.ordered and self.positive is not None:
            raise ValueError("two classes are not called ordered")
        return self

    @property
    def method(self) -> str:
        """What the experiment called the method; the recipe where that is not recorded."""
        return str(self.provenance.get("method", self.recipe))

    @property
    def patient_pattern(self) -> str | None:
        """How training found the patient in a file name; None for barcodes, or not recorded."""
        pattern = self.provenance.get("patient_pattern")
        return pattern if isinstance(pattern, str) else None

    @property
    def positive_index(self) -> int | None:
        """Position of the positive class; None beyond two classes."""
        return None if self.positive is None else self.classes.index(self.positive)
