"""Names of parts within a network."""

from __future__ import annotations


def module_name(name: str) -> str:
    """A name without the points of an import path, which would divide it in a ``state_dict``."""
    return name.replace(".", "_")
