"""Networks that a bundle names and that no package here brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from histodistill.model.registries import NETWORK_REGISTRIES
from histodistill.registry import is_import_path


def absent_parts(description: Any) -> Iterator[str]:
    """A sentence for every network that is built and that nobody here knows by its name.

    Args:
        description: What ``bundle.json`` holds, unchecked: what is odd in it is told elsewhere.
    """
    packages = _at(description, "info", "provenance", "packages")
    members = _at(description, "members")
    for member in members if isinstance(members, list) else ():
        settings = _at(member, "architecture", "settings")
        trained = _at(settings, "networks")
        for kind, registry in NETWORK_REGISTRIES.items():
            name = _at(settings, kind)
            used = isinstance(trained, list) and kind in trained
            if used and isinstance(name, str) and not _known(name, registry.names()):
                package = _at(packages, name) or "a package that is not installed here"
                yield (
                    f"the model is made of the {registry.kind} `{name}` of {package}; install it "
                    "beside histodistill, or the version of histodistill that knows it"
                )


def _known(name: str, names: tuple[str, ...]) -> bool:
    return name in names or is_import_path(name)


def _at(values: Any, *keys: str) -> Any:
    """A value within mappings; None where it is not there."""
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values
