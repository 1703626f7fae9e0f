"""How an experiment divides its patients."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from histodistill.settings import Settings


class SplitSettings(Settings):
    """How patients are divided.

    Attributes:
        scheme: ``stratified`` (random, seeded), ``site`` (no hospital in two parts),
            ``files`` (folds that are given) or ``external`` (one fold, whose test part is
            the hospitals that are held out).
        folds: Number of folds.
        repeats: How often the whole cross-validation is repeated with other folds.
        validation: Share of each training part kept for early stopping and thresholds.
        seed: Seed of the division.
        directory: For ``files``, the folder of ``splits_<k>.csv``; ``{target}`` in it
            stands for the target's name.
        external_sites: For ``external``, the hospitals that are held out.
        seal: Whether the answers to test patients are written encrypted until ``histodistill
            unseal`` opens them, once, and writes down when (an extra).
    """

    scheme: Literal["stratified", "site", "files", "external"] = "stratified"
    folds: int = Field(default=5, ge=2)
    repeats: PositiveInt = 1
    validation: float = Field(default=0.2, gt=0, lt=1)
    seed: NonNegativeInt = 0
    directory: str | None = None
    external_sites: tuple[str, ...] = ()
    seal: bool = False

    @model_validator(mode="after")
    def _scheme_has_what_it_needs(self) -> SplitSettings:
        if (self.scheme == "files") != (self.directory is not None):
            raise ValueError("`directory` goes with `scheme: files`, and only with it")
        if (self.scheme == "external") != bool(self.external_sites):
            raise ValueError("`external_sites` goes with `scheme: external`, and only with it")
        return self
