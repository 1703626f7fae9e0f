"""Groups of patients dealt whole into parts that are as balanced as can be.

The aim is that of site-preserved cross-validation (Howard et al., Nature Communications 2021):
no group is cut, and every part gets its quota of every class. Finding the best assignment is
NP-hard; steepest descent over moves and exchanges of groups, from many random starts, found it
wherever exhaustive search could check (up to 13 sites) and stays quick for hundreds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Shares = npt.NDArray[np.float64]
Assignment = npt.NDArray[np.intp]

STARTS = 30
# Differences below this are rounding: they must not decide, or results depend on the machine.
_DECIMALS = 12


def balanced_partitions(
    shares: Shares, quotas: Shares, rng: np.random.Generator
) -> list[Assignment]:
    """Deal groups into parts so that each part's share of every column is near its quota.

    The cost of an assignment is the sum over parts p and columns c of
    (share of c in p - quota of p)^2; no part is left empty.

    Args:
        shares: [groups, columns], each column the groups' shares of one class, summing to 1.
        quotas: [parts], summing to 1. There are at least as many groups as parts.
        rng: Draws the starts.

    Returns:
        The part of every group, [groups] each: the different partitions found, best first.
        Two that differ only in the numbers of the parts are one partition.
    """
    found: dict[bytes, tuple[float, Assignment]] = {}
    for _ in range(STARTS):
        start = _random_start(len(shares), len(quotas), rng)
        for parts in _descent(shares, quotas, start):
            cost = round(float((_excess(shares, quotas, parts) ** 2).sum()), _DECIMALS)
            key = _renumbered(parts).tobytes()
            if key not in found or cost < found[key][0]:
                found[key] = (cost, parts)
    return [found[key][1] for key in sorted(found, key=lambda key: (found[key][0], key))]


def _random_start(n_groups: int, n_parts: int, rng: np.random.Generator) -> Assignment:
    parts = rng.integers(n_parts, size=n_groups)
    parts[rng.permutation(n_groups)[:n_parts]] = np.arange(n_parts)
    return parts


def _excess(shares: Shares, quotas: Shares, parts: Assignment) -> Shares:
    """How far each part is above its quota, [parts, columns]."""
    members = parts == np.arange(len(quotas))[:, None]
    above: Shares = members.astype(float) @ shares - quotas[:, None]
    return above


def _descent(shares: Shares, quotas: Shares, parts: Assignment) -> Iterator[Assignment]:
    """Move one group, or else exchange two, while that lowers the cost.

    Yields every assignment that no single move improves; the last is the best.
    """
    while True:
        # Moving v into part p raises the cost by 2 v.excess[p] + |v|^2, and so on for the rest.
        pull = shares @ _excess(shares, quotas, parts).T
        gain, group, part = _best_move(shares, pull, parts)
        if gain < 0:
            parts[group] = part
            continue
        yield parts.copy()
        gain, group, other = _best_exchange(shares, pull, parts)
        if gain >= 0:
            return
        parts[group], parts[other] = parts[other], parts[group]


def _best_move(shares: Shares, pull: Shares, parts: Assignment) -> tuple[float, int, int]:
    """The cost change, the group and its new part of the best move of one group."""
    here = pull[np.arange(len(parts)), parts]
    change = 2 * (pull - here[:, None] + (shares**2).sum(axis=1)[:, None])
    sizes = np.bincount(parts, minlength=pull.shape[1])
    change[sizes[parts] == 1] = np.inf  # the last group of a part stays
    change[np.arange(len(parts)), parts] = np.inf
    return _lowest(change)


def _best_exchange(shares: Shares, pull: Shares, parts: Assignment) -> tuple[float, int, int]:
    """The cost change and the two groups of the best exchange between two parts."""
    squares = (shares**2).sum(axis=1)
    distances = squares[:, None] + squares - 2 * shares @ shares.T
    to = pull[:, parts]  # [i, j]: what pulls on group i in the part of group j
    here = np.diag(to)
    change = 2 * (to + to.T - here[:, None] - here + distances)
    change[parts[:, None] == parts] = np.inf
    return _lowest(change)


def _lowest(change: Shares) -> tuple[float, int, int]:
    rounded = change.round(_DECIMALS)
    row, column = np.unravel_index(int(rounded.argmin()), rounded.shape)
    return float(rounded[row, column]), int(row), int(column)


def _renumbered(parts: Assignment) -> Assignment:
    """The same partition with its parts numbered in the order in which they first occur."""
    _, first, inverse = np.unique(parts, return_index=True, return_inverse=True)
    return first.argsort().argsort()[inverse]
