"""Networks of other packages, built and run once before hours of work depend on them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch

from histodistill.errors import cause_of
from histodistill.model.batch import Bags, Batch, Genes
from histodistill.model.networks import Networks
from histodistill.model.settings import NetworkSettings

_PATIENTS, _TOKENS = 3, 3
# As many as any network needs; a bag of the cohort may hold fewer.
_MOST_PATCHES = 256


def rehearsal_problems(
    settings: NetworkSettings,
    bag: tuple[int, int] | None,
    blocks: Collection[str],
    n_classes: int,
) -> Iterator[str]:
    """A sentence where a network of another package cannot take a step of training.

    Networks of this package are tested with it, and are not built.

    Args:
        settings: The networks, and their sizes.
        bag: Patches of the smallest bag, and size F of a patch feature; None without slides.
        blocks: Names of the blocks of genes.
        n_classes: Number C of classes.
    """
    if not settings.foreign:
        return
    named = ", ".join(f"{kind} `{name}`" for kind, name in settings.foreign.items())
    try:
        wrong = _step(settings, bag, blocks, n_classes)
    except Exception as error:  # whatever somebody's network does
        wrong = cause_of(error)
    if wrong:
        yield f"{named}: a step of training on toy patients fails: {wrong}"


def _step(
    settings: NetworkSettings, bag: tuple[int, int] | None, blocks: Collection[str], n_classes: int
) -> str:
    """What is wrong with the answers; empty where nothing is."""
    with torch.random.fork_rng():
        networks = Networks(bag and bag[1], dict.fromkeys(blocks, _TOKENS), n_classes, settings)
        batch = _batch(settings, bag, blocks)
        outputs = networks.train()(batch)
        for name, output in outputs.items():
            shape = (len(output.rows), n_classes)
            if tuple(output.logits.shape) != shape:
                return f"{name} gives logits {list(output.logits.shape)} and not {list(shape)}"
            if not bool(output.logits.isfinite().all()):
                return f"{name} gives logits that are not finite"
        total = sum(output.logits.float().sum() for output in outputs.values())
        if isinstance(total, torch.Tensor):
            total.backward()  # type: ignore[no-untyped-call]
    return ""


def _batch(
    settings: NetworkSettings, bag: tuple[int, int] | None, blocks: Collection[str]
) -> Batch:
    rows = torch.arange(_PATIENTS)
    bags = genes = None
    if bag is not None:
        size, width = min(bag[0], _MOST_PATCHES), bag[1]
        bags = Bags((torch.randn(_PATIENTS * size, width),), (size,) * _PATIENTS, rows)
    if blocks:
        tokens = {name: torch.randn(_PATIENTS, _TOKENS, settings.token_size) for name in blocks}
        measured = {name: torch.ones(_PATIENTS, dtype=torch.bool) for name in blocks}
        genes = Genes(tokens, measured, rows)
    return Batch(bags, genes, rows % 2)
