"""Every recipe in words, for the list of methods."""

from __future__ import annotations

from dataclasses import dataclass

from histodistill.experiment.methods import MethodSettings
from histodistill.experiment.recipes import recipe, recipes


@dataclass(frozen=True)
class Description:
    """A recipe in words.

    Attributes:
        name: Its name.
        reads: What it predicts from, and what it reads in training beside.
        text: What it is, and where it comes from.
    """

    name: str
    reads: str
    text: str


def descriptions() -> list[Description]:
    """Every recipe in words, in their order."""
    return [Description(name, _reads(name), known.text) for name, known in recipes().items()]


def _reads(name: str) -> str:
    method = MethodSettings.model_validate({"recipe": name} | recipe(name).changes)
    networks = method.network.networks
    if "student" in networks:
        genes = method.network.reads_genes or method.objective.reads_genes
        return "slides; genes in training" if genes else "slides"
    return "slides and genes" if "multimodal" in networks else "genes"
