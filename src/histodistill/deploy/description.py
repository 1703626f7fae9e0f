"""What ``bundle.json`` says, with bounds for every value in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveInt, model_validator

from histodistill.deploy.info import BundleInfo
from histodistill.experiment.inputs import BlockSettings
from histodistill.model import NetworkName, NetworkSettings
from histodistill.settings import Settings

Threshold = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Architecture(Settings):
    """What is needed to build the networks of a member."""

    feature_width: PositiveInt | None
    blocks: dict[str, PositiveInt]
    n_classes: PositiveInt
    settings: NetworkSettings


class MemberDescription(Settings):
    """One member: its networks, and the threshold of each where one was chosen."""

    architecture: Architecture
    thresholds: dict[NetworkName, Threshold]

    @model_validator(mode="after")
    def _thresholds_are_of_its_networks(self) -> MemberDescription:
        unknown = set(self.thresholds) - set(self.architecture.settings.networks)
        if unknown:
            raise ValueError(f"a threshold for {', '.join(sorted(unknown))}, which it has not")
        return self


class BundleDescription(Settings):
    """The whole of ``bundle.json``."""

    info: BundleInfo
    members: tuple[MemberDescription, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _parts_belong_together(self) -> BundleDescription:
        for member in self.members:
            _require_alike(self.info, self.members[0].architecture, member.architecture)
        for name, settings in self.info.blocks.items():
            _require_block(name, settings)
        return self


def _require_alike(info: BundleInfo, first: Architecture, other: Architecture) -> None:
    """Raise a ValueError where a member is not one of this bundle's."""
    if other.n_classes != len(info.classes):
        raise ValueError(f"a network of {other.n_classes} classes, and {len(info.classes)} names")
    if other.settings.networks != first.settings.networks:
        raise ValueError("the members hold different networks")
    if other.settings.reads_slides and other.feature_width is None:
        raise ValueError("networks that read slides, and no width of patch features")
    # Networks that read programmes of expression are as wide as those.
    direct = other.settings.programmes is None and other.feature_width is not None
    if direct and info.features is not None and other.feature_width != info.features.width:
        raise ValueError(
            f"networks for features {other.feature_width} wide, trained on {info.features.width}"
        )


def _require_block(name: str, settings: dict[str, Any]) -> None:
    """Raise a ValueError where a block cannot be read with these settings."""
    BlockSettings.model_validate(settings | {"file": Path(name)})
