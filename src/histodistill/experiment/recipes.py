"""Recipes by name: what each sets differently from the defaults, which are the paper's.

Those of networks alone, and those that distil in another way, come from what the parts of a model
declare; the others stand here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from histodistill.errors import InputError
from histodistill.model.registries import DISTILLERS, NETWORK_REGISTRIES, NetworkDeclaration
from histodistill.registry import Declaration, imported, is_import_path

GROUP = "histodistill.recipes"

Changes = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A named beginning of a method.

    Attributes:
        text: What it is, in a line, with its source.
        network: What it changes in the architecture.
        objective: What it changes in the loss.
        training: What it changes in the optimisation.
        differs: Where it departs from its source, beside what its networks and losses say.
    """

    text: str = ""
    network: Changes = field(default_factory=dict)
    objective: Changes = field(default_factory=dict)
    training: Changes = field(default_factory=dict)
    differs: str = ""

    @property
    def changes(self) -> Changes:
        """All that it changes, as an experiment would write it."""
        return {"network": self.network, "objective": self.objective, "training": self.training}


NO_DISTILLATION = {"orthogonality": 0, "alignment": 0, "similarity": 0, "collaboration": 0}

_PROGRAMMES_NETWORK = {
    "student": "linear",
    "multimodal": "experts",
    "genomic": "linear",
    "programmes": 30,
    "prototypes": 256,
    "shrinkage": 0.2,
    "gene_weighting": 2,
    "dropout": 0.25,
}
_PROGRAMMES_TRAINING = {
    "offline": True,
    "members": 5,
    "learning_rate": 1e-2,
    "weight_decay": 0.1,
    "patience": 10,
}

_MKD = "MKD (Zhang 2025, MICCAI)"

_PAPER = {
    # The method of the paper: architecture, losses and optimisation.
    "mkd": Recipe(f"{_MKD}: decomposition, similarity and collaboration, trained together"),
    # The ablations of the paper, and its two decomposition terms one by one.
    "mkd-concat": Recipe(
        "MKD with the multimodal teacher's fusion by concatenation", network={"fusion": "concat"}
    ),
    "mkd-no-decomposition": Recipe(
        "MKD without decomposition (L_OR and L_CORAL)",
        objective={"orthogonality": 0, "alignment": 0},
    ),
    "mkd-no-orthogonality": Recipe(
        "MKD without orthogonality (L_OR)", objective={"orthogonality": 0}
    ),
    "mkd-no-alignment": Recipe("MKD without alignment (L_CORAL)", objective={"alignment": 0}),
    "mkd-no-similarity": Recipe("MKD without similarity (SKD)", objective={"similarity": 0}),
    "mkd-no-collaboration": Recipe(
        "MKD without collaboration (CLOD)", objective={"collaboration": 0}
    ),
    "mkd-labels-only": Recipe(
        "MKD's three networks side by side, without any distillation", objective=NO_DISTILLATION
    ),
    "mkd-offline": Recipe("MKD with teachers that are finished first", training={"offline": True}),
}

_OTHERS = {
    "concat": Recipe(
        "pooled slide and genes, concatenated",
        network={"networks": ("multimodal",), "multimodal": "mkd", "fusion": "concat"},
        objective=NO_DISTILLATION,
        training={"monitor": "multimodal_loss"},
        differs="this library's baseline: `multimodal` with `fusion: concat`",
    ),
    # "Online teaching" (Zhang et al., IEEE TMI): MKD's objective in batches of 32.
    "gmkdn": Recipe(
        "GMKDN (Zhang, IEEE TMI): MKD with a branch for expression (block `mrna`) and one for "
        "copy number (block `cna`)",
        network={"genomic": "branches", "blocks": ("mrna", "cna")},
        training={"batch_size": 32},
        differs="the genomic teacher joins the branches by attention, and the multimodal one reads "
        "the tokens of both, where the source has bilinear fusion in both",
    ),
    "mkd-reconstruction": Recipe(
        "MKD whose student also predicts up to 32 principal components of expression",
        objective={"reconstruction": 1},
        differs="this library's, after G-HANet's reconstruction of genes",
    ),
    # All that slides tell of gene expression is learnt first, by ridge regression on every patient
    # with both; what is left to learn from few labels is small.
    "programmes": Recipe(
        "recommended where patches hardly differ: ridge regression reads expression programmes "
        "from patches, linear networks learn the label; five averaged",
        network=_PROGRAMMES_NETWORK,
        objective=NO_DISTILLATION,
        training=_PROGRAMMES_TRAINING,
    ),
    # Where rare patches carry the signal, the mean patch hides them; genes say how many there are.
    "proportions": Recipe(
        "recommended where patches differ: `programmes`, whose first is also told by detectors of "
        "the patches whose number the genes foretell",
        network=_PROGRAMMES_NETWORK | {"proportions": True},
        objective=NO_DISTILLATION,
        training=_PROGRAMMES_TRAINING,
    ),
}


@cache
def recipes() -> Mapping[str, Recipe]:
    """Every recipe of this package and of installed ones, by name.

    Raises:
        InputError: That of an installed package cannot be imported.
    """
    every = [
        *_PAPER.items(),
        *_networks_alone(),
        *_other_ways_to_distil(),
        *_OTHERS.items(),
        *((point.name, _imported(point.name, point.value)) for point in entry_points(group=GROUP)),
    ]
    named: dict[str, Recipe] = {}
    for name, recipe in every:
        named.setdefault(name, recipe)
    return named


def recipe(name: str) -> Recipe:
    """A recipe by name or import path.

    Raises:
        InputError: An import path leads to none.
        ValueError: There is none of this name.
    """
    known = recipes()
    if name in known:
        return known[name]
    if is_import_path(name):
        return _imported(name, name)
    close = get_close_matches(name, known, n=5)
    meant = f"did you mean {', '.join(close)}? " if close else ""
    raise ValueError(
        f"unknown recipe {name!r}; {meant}`histodistill suite --list-methods` lists all"
    )


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` laid over it, mapping by mapping."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else value
    return result


def described(declaration: Declaration) -> str:
    """What a part is, with its source."""
    source = f" ({declaration.source})" if declaration.source else ""
    return f"{declaration.text}{source}"


def _networks_alone() -> Iterator[tuple[str, Recipe]]:
    """What distillation has to beat, in the same engine."""
    for network, registry in NETWORK_REGISTRIES.items():
        for name in registry.names():
            declared = registry.facts(name)
            if declared.alone:
                yield declared.recipe or name, _alone(network, name, declared)


def _alone(network: str, name: str, declared: NetworkDeclaration) -> Recipe:
    monitor = {} if network == "student" else {"monitor": f"{network}_loss"}
    return Recipe(
        described(declared),
        network={"networks": (network,), network: name},
        objective=NO_DISTILLATION | dict(declared.objective),
        training=monitor,
    )


def _other_ways_to_distil() -> Iterator[tuple[str, Recipe]]:
    """The paper's three networks, the student taught by one loss alone."""
    for name in DISTILLERS.names():
        text = described(DISTILLERS.facts(name))
        objective = {**NO_DISTILLATION, "distillation": {name: 1.0}}
        yield name, Recipe(text, objective=objective, training={"offline": False})
        finished = f"{text}, by finished teachers"
        yield f"{name}-offline", Recipe(finished, objective=objective, training={"offline": True})


def _imported(name: str, path: str) -> Recipe:
    try:
        found = imported(path)
    except Exception as error:  # whatever somebody's module does when it is imported
        raise InputError(
            f"recipe `{name}`: {path} cannot be imported: {type(error).__name__}: {error}; "
            "mend or remove its package, or name its folder in the environment variable PYTHONPATH"
        ) from error
    if not isinstance(found, Recipe):
        raise InputError(f"recipe `{name}`: is not a histodistill.experiment.recipes.Recipe")
    return found
