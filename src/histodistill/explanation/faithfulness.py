"""How faithful a map is: what happens to the answer when patches go in the map's order.

Source of the measure: Blücher, Vielhaben & Strodthoff, "Decoupling pixel flipping and occlusion
strategy for consistent XAI benchmarks", TMLR 2024 (symmetric relevance gain). Here patches are
removed, which a network of bags can take, instead of being painted over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax, stdtrit

from histodistill.explanation.contributions import Floats, Indices
from histodistill.explanation.removal import Removal

LEVEL = 0.95


@dataclass(frozen=True)
class Faithfulness:
    """The symmetric relevance gain (SRG) of a map on one bag.

    Attributes:
        srg: Mean difference between the probability of the class while patches are removed from
            the least supportive on, and while they are removed from the most supportive on; 0
            is chance, 1 at most.
        low: Lower limit of its 95 % interval, by a jackknife over blocks of tissue; NaN where
            there is one block alone.
        high: Upper limit.
        ascending: The first curve, [S].
        descending: The second curve, [S].
    """

    srg: float
    low: float
    high: float
    ascending: Floats
    descending: Floats


def faithfulness(
    members: Sequence[Removal], support: Floats, target: int, block: Indices, n_steps: int
) -> Faithfulness:
    """Measure a map against the model that it claims to explain.

    Args:
        members: The bag as each member of the model reads it; probabilities are averaged.
        support: What the map says of each patch, [N]: the higher, the more it supports the class.
        target: Index of the class.
        block: Block of tissue of each patch, [N], from 0.
        n_steps: Steps in which all patches are removed; no more than there are patches.
    """
    rank = np.empty(len(support), dtype=np.int64)
    rank[np.argsort(support, kind="stable")] = np.arange(len(support))
    return faithfulness_of_order(members, rank, target, block, n_steps)


def faithfulness_of_order(
    members: Sequence[Removal], rank: Indices, target: int, block: Indices, n_steps: int
) -> Faithfulness:
    """The same where the patches are in order already: the rank of each, [N], from 0."""
    n_steps = min(n_steps, len(rank))
    n_blocks = int(block.max()) + 1
    step = rank * n_steps // len(rank)
    curves = [member.curves(step, block, n_steps, n_blocks) for member in members]
    ascending, descending = (_probability(answers, target) for answers in zip(*curves, strict=True))
    srg = float(np.mean(ascending[-1] - descending[-1]))
    without = ascending[:-1] - descending[:-1]
    margin = _jackknife(np.nanmean(without, axis=1)) if n_blocks > 1 else float("nan")
    return Faithfulness(srg, srg - margin, srg + margin, ascending[-1], descending[-1])


def _probability(answers: Sequence[Floats], target: int) -> Floats:
    """Probability [G + 1, S] of the class, mean over members that answer [G + 1, S, C] each."""
    return np.asarray(np.mean([softmax(a, axis=-1)[..., target] for a in answers], axis=0))


def _jackknife(without: Floats) -> float:
    """Half the width of the 95 % interval, from the figure without each of G blocks."""
    n_blocks = len(without)
    spread = np.square(without - without.mean()).sum()
    error = np.sqrt((n_blocks - 1) / n_blocks * spread)
    return float(error * stdtrit(n_blocks - 1, (1 + LEVEL) / 2))
