"""The certificate that is printed on every map: is it true of the model?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from histodistill.explanation.contributions import Floats, Indices
from histodistill.explanation.faithfulness import (
    Faithfulness,
    faithfulness,
    faithfulness_of_order,
)
from histodistill.explanation.removal import Removal

# A map in whose order the probability moves by less than this on average shows nothing: as a rule
# the patches hardly differ for the model.
FLAT = 0.02
RANDOM_ORDERS = 20


@dataclass(frozen=True)
class Certificate:
    """What may be said of a map.

    Attributes:
        map: Faithfulness of the map.
        attention: That of the attention of the network; None where it has none.
        random: Mean SRG of random orders of the patches.
        random_low: Lower end of the central 95 % of the random orders.
        random_high: Upper end.
        sufficient: The fewest most supportive patches that alone keep the call, as steps allow.
        necessary: The fewest most supportive patches without which the call changes; None where
            it never does.
        n_patches: Patches of the bag.
    """

    map: Faithfulness
    attention: Faithfulness | None
    random: float
    random_low: float
    random_high: float
    sufficient: int
    necessary: int | None
    n_patches: int

    @property
    def regional(self) -> bool:
        """Whether the map shows where the evidence lies, beyond chance and beyond flatness.

        Its interval lies above what random orders do on average, and it gains more than nearly all
        of them.
        """
        found = self.map
        beyond_chance = found.low > self.random and found.srg > self.random_high
        return bool(beyond_chance and found.srg >= FLAT)

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        if self.regional:
            return f"faithful: SRG {_figure(self.map)}; chance {self.random:.3f}"
        if abs(self.map.srg) < FLAT:
            why = "taking patches away in its order hardly moves the answer"
        else:
            why = "its faithfulness is not beyond chance"
        return f"no regional evidence: SRG {_figure(self.map)}; {why}"


def certify(
    members: Sequence[Removal],
    support: Floats,
    attention: Floats | None,
    called: int,
    target: int,
    threshold: float | None,
    block: Indices,
    *,
    n_steps: int = 200,
    seed: int = 0,
) -> Certificate:
    """Measure a map, and beside it the attention and random orders.

    Args:
        members: The bag as each member of the model reads it.
        support: What the map says of each patch, [N]: the higher, the more it supports the class.
        attention: Attention of each patch, [N]; None where the network has none.
        called: The class that the whole bag is called.
        target: The class whose probability the threshold applies to, and whose map this is.
        threshold: From this probability of ``target`` on it is called; None takes the most
            probable class.
        block: Block of tissue of each patch, [N].
        n_steps: Steps in which the patches are removed.
        seed: Of the random orders.
    """
    found = faithfulness(members, support, target, block, n_steps)
    attended = (
        None if attention is None else faithfulness(members, attention, target, block, n_steps)
    )
    random = _random(members, len(support), target, n_steps, seed)
    low, high = np.quantile(random, [0.025, 0.975])
    sufficient, necessary = _needed(members, support, called, target, threshold, n_steps)
    return Certificate(
        found,
        attended,
        float(np.mean(random)),
        float(low),
        float(high),
        sufficient,
        necessary,
        len(support),
    )


def _random(
    members: Sequence[Removal], n_patches: int, target: int, n_steps: int, seed: int
) -> Floats:
    generator = np.random.default_rng(seed)
    whole = np.zeros(n_patches, dtype=np.int64)
    gains = []
    for _ in range(RANDOM_ORDERS):
        rank = generator.permutation(n_patches)
        gains.append(faithfulness_of_order(members, rank, target, whole, n_steps).srg)
    return np.array(gains)


def _figure(found: Faithfulness) -> str:
    return f"{found.srg:.3f} [{found.low:.3f} to {found.high:.3f}]"


def _needed(
    members: Sequence[Removal],
    support: Floats,
    called: int,
    target: int,
    threshold: float | None,
    n_steps: int,
) -> tuple[int, int | None]:
    """How few of the most supportive patches keep the call, and how few break it."""
    towards_call = support if called == target else -support
    rank = np.empty(len(support), dtype=np.int64)
    rank[np.argsort(-towards_call, kind="stable")] = np.arange(len(support))
    sizes = _geometric(len(support), n_steps)
    step = np.searchsorted(sizes, rank, side="right")
    n_groups = len(sizes)
    whole = np.zeros(len(step), dtype=np.int64)
    curves = [member.curves(step, whole, n_groups, 1) for member in members]
    without_top, with_top = (
        _calls([answer[-1] for answer in own], target, threshold)
        for own in zip(*curves, strict=True)
    )
    with_top = with_top[::-1]
    broken = np.flatnonzero(without_top != called)
    # From here on every larger part keeps the call.
    changed = np.flatnonzero(with_top != called)
    first = changed[-1] + 1 if len(changed) else 0
    sufficient = int(sizes[min(first, n_groups - 1)])
    return sufficient, int(sizes[broken[0] - 1]) if len(broken) else None


def _geometric(n_patches: int, n_steps: int) -> Indices:
    """Increasing numbers of patches up to all of them, finest at the small ones."""
    sizes = np.geomspace(1, n_patches, min(n_steps, n_patches)).round().astype(np.int64)
    return np.unique(np.append(sizes, n_patches))


def _calls(answers: Sequence[Floats], target: int, threshold: float | None) -> Indices:
    """The class that is called at each step, [S]; with two classes by the threshold."""
    probability = np.mean([softmax(a, axis=-1) for a in answers], axis=0)
    if threshold is None or probability.shape[1] != 2:
        return np.asarray(probability.argmax(axis=1))
    return np.where(probability[:, target] >= threshold, target, 1 - target)
