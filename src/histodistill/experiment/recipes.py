"""Recipes by name: what each sets differently from the defaults, which are the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from histodistill.model.settings import (
    DistillationName,
    GenomicName,
    MultimodalName,
    StudentName,
)

Recipe = dict[str, dict[str, Any]]


EMPTY: Recipe = {"network": {}, "objective": {}, "training": {}}


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` laid over it, mapping by mapping."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


def _ablation(**objective: float) -> Recipe:
    return EMPTY | {"objective": objective}


NO_DISTILLATION = {"orthogonality": 0, "alignment": 0, "similarity": 0, "collaboration": 0}


# Students with terms of their own that read genes in training.
_TAUGHT_BY_GENES: tuple[StudentName, ...] = ("momkd", "ghanet")


def _student(architecture: StudentName) -> Recipe:
    """A slide-only network, alone."""
    return {
        "network": {"networks": ("student",), "student": architecture},
        "objective": dict(NO_DISTILLATION),
        "training": {},
    }


def _student_with_genes(architecture: StudentName, **objective: float) -> Recipe:
    """A slide-only network, with terms that read genes in training."""
    return merged(_student(architecture), {"objective": objective})


def _genomic(architecture: GenomicName) -> Recipe:
    """A network that reads genes alone."""
    return {
        "network": {"networks": ("genomic",), "genomic": architecture},
        "objective": dict(NO_DISTILLATION),
        "training": {"monitor": "genomic_loss"},
    }


def _multimodal(architecture: MultimodalName, **network: str) -> Recipe:
    """A network that reads slides and genes, alone."""
    return {
        "network": {"networks": ("multimodal",), "multimodal": architecture, **network},
        "objective": dict(NO_DISTILLATION),
        "training": {"monitor": "multimodal_loss"},
    }


def _distilled(name: DistillationName, *, offline: bool) -> Recipe:
    """The paper's three networks, the student taught in another way."""
    return {
        "network": {},
        "objective": {**NO_DISTILLATION, "distillation": {name: 1.0}},
        "training": {"offline": offline},
    }


RECIPES: dict[str, Recipe] = {
    # The method of the paper: architecture, losses and optimisation.
    "mkd": _ablation(),
    # The ablations of the paper, and its two decomposition terms one by one.
    "mkd-concat": {"network": {"fusion": "concat"}, "objective": {}, "training": {}},
    "mkd-no-decomposition": _ablation(orthogonality=0, alignment=0),
    "mkd-no-orthogonality": _ablation(orthogonality=0),
    "mkd-no-alignment": _ablation(alignment=0),
    "mkd-no-similarity": _ablation(similarity=0),
    "mkd-no-collaboration": _ablation(collaboration=0),
    "mkd-labels-only": _ablation(**NO_DISTILLATION),
    "mkd-offline": {"network": {}, "objective": {}, "training": {"offline": True}},
    # Networks alone, in the same engine: what distillation has to beat.
    **{name: _student(name) for name in get_args(StudentName) if name not in _TAUGHT_BY_GENES},
    "genomic": _genomic("tokens"),
    "snn": _genomic("snn"),
    "linear-genomic": _genomic("linear"),
    "multimodal": _multimodal("mkd"),
    "linear-multimodal": _multimodal("linear"),
    "concat": _multimodal("mkd", fusion="concat"),
    **{
        name: _multimodal(name)
        for name in get_args(MultimodalName)
        if name not in ("mkd", "linear", "experts")
    },
    # Other ways to distil: from teachers that train along, and from finished ones.
    **{name: _distilled(name, offline=False) for name in get_args(DistillationName)},
    **{f"{name}-offline": _distilled(name, offline=True) for name in get_args(DistillationName)},
    # Later rivals, with the weights of their sources.
    "momkd": _student_with_genes("momkd", cross_entropy=0.5, memory_alignment=1),
    "ghanet": _student_with_genes("ghanet", group_reconstruction=0.3),
    # GMKDN ("Online teaching", Zhang et al., IEEE TMI): MKD's objective in batches of 32, with a
    # branch for expression and one for copy number. The source joins the branches by bilinear
    # fusion in both teachers; here the genomic one joins them by attention, and the multimodal
    # one reads the tokens of both together.
    "gmkdn": {
        "network": {"genomic": "branches", "blocks": ("mrna", "cna")},
        "objective": {},
        "training": {"batch_size": 32},
    },
    "mkd-reconstruction": _ablation(reconstruction=1),
    # The recommended recipe. All that slides tell of gene expression is learnt first, by ridge
    # regression on every patient with both; what is left to learn from few labels is small.
    "programmes": {
        "network": {
            "student": "linear",
            "multimodal": "experts",
            "genomic": "linear",
            "programmes": 30,
            "gene_weighting": 2,
            "dropout": 0.25,
        },
        "objective": dict(NO_DISTILLATION),
        "training": {
            "offline": True,
            "members": 5,
            "learning_rate": 1e-2,
            "weight_decay": 0.1,
            "patience": 10,
        },
    },
}
