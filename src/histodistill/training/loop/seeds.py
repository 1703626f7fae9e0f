"""Random streams: one independent seed for every purpose, from the experiment's seed."""

from __future__ import annotations

import hashlib


def derived_seed(*parts: str | int) -> int:
    """A seed in [0, 2**63) that depends on all parts, the same on every machine.

    Every epoch draws from its own seed, so that an interrupted run goes on exactly as an
    uninterrupted one, without any generator's state being stored.
    """
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
