"""Recipes by name: what each sets differently from the defaults, which are the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Recipe = dict[str, dict[str, Any]]


EMPTY: Recipe = {"network": {}, "objective": {}, "training": {}}


def _ablation(**objective: float) -> Recipe:
    return EMPTY | {"objective": objective}


RECIPES: dict[str, Recipe] = {
    # The method of the paper: architecture, losses and optimisation.
    "mkd": _ablation(),
    # The student alone, in the same engine: what distillation has to beat.
    "abmil": {
        "network": {"networks": ("student",)},
        "objective": {"orthogonality": 0, "alignment": 0, "similarity": 0, "collaboration": 0},
        "training": {},
    },
    # The genomic teacher alone, and the multimodal teacher alone.
    "genomic": {
        "network": {"networks": ("genomic",)},
        "objective": {"orthogonality": 0, "alignment": 0, "similarity": 0, "collaboration": 0},
        "training": {"monitor": "genomic_loss"},
    },
    "multimodal": {
        "network": {"networks": ("multimodal",)},
        "objective": {"orthogonality": 0, "alignment": 0, "similarity": 0, "collaboration": 0},
        "training": {"monitor": "multimodal_loss"},
    },
    # The ablations of the paper, and its two decomposition terms one by one.
    "mkd-concat": {"network": {"fusion": "concat"}, "objective": {}, "training": {}},
    "mkd-no-decomposition": _ablation(orthogonality=0, alignment=0),
    "mkd-no-orthogonality": _ablation(orthogonality=0),
    "mkd-no-alignment": _ablation(alignment=0),
    "mkd-no-similarity": _ablation(similarity=0),
    "mkd-no-collaboration": _ablation(collaboration=0),
    "mkd-labels-only": _ablation(orthogonality=0, alignment=0, similarity=0, collaboration=0),
}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` laid over it, mapping by mapping."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result
