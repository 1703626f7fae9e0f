"""Versions of what is installed, and the extras with what each would bring."""

from __future__ import annotations

import platform
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

# What an extra is for; `all` is all of them, and `dev` is for those who change the code.
BRINGS = {
    "slides": "reading slides, tissue and patches; a small encoder with its weights",
    "encoders": "pathology encoders and their weights from the Hugging Face hub",
    "stain": "stain normalisation in extraction",
    "onnx": "encoders in ONNX files",
    "cluster": "work on a Ray cluster (--on ray)",
    "slurm": "work in SLURM's arrays (--on slurm)",
    "anndata": "gene tables in h5ad files",
    "tuning": "search for settings within each fold (Optuna)",
    "tensorboard": "training curves in TensorBoard",
    "view": "slides and maps in the browser",
    "seal": "answers to test patients that stay sealed until all choices are made",
}
_SHOWN = ("torch", "numpy", "pandas", "scipy", "scikit-learn", "h5py", "pydantic", "safetensors")
_REQUIREMENT = re.compile(r"""(?P<name>[\w.-]+)[^;]*;.*extra == ["'](?P<extra>\w+)["']""")


@dataclass(frozen=True)
class Extra:
    """A group of optional packages.

    Attributes:
        name: As in ``histodistill[name]``.
        brings: What it is for.
        installed: Its packages that are there, with their versions.
        missing: Its packages that are not.
    """

    name: str
    brings: str
    installed: dict[str, str]
    missing: tuple[str, ...]

    def told(self) -> str:
        """In a sentence, with how to get it where it is not whole."""
        if not self.missing:
            return f"installed: {self.brings}"
        lacks = f"lacks {', '.join(self.missing)}" if self.installed else "not installed"
        return f"{lacks}; for {self.brings}: pip install 'histodistill[{self.name}]'"


def package_versions() -> dict[str, str | None]:
    """Python, histodistill, and the packages that decide on results; None where one lacks."""
    packages = {name: installed_version(name) for name in ("histodistill", *_SHOWN)}
    return {"python": platform.python_version(), **packages}


def installed_version(package: str) -> str | None:
    """The version that is installed, read without importing the package."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def extras() -> tuple[Extra, ...]:
    """Every extra, and which of its packages are installed."""
    members: defaultdict[str, list[str]] = defaultdict(list)
    for name, extra in _requirements():
        members[extra].append(name)
    return tuple(_extra(name, brings, members[name]) for name, brings in BRINGS.items())


def _requirements() -> Iterator[tuple[str, str]]:
    """Package and extra, as the installed histodistill declares them."""
    for line in requires("histodistill") or ():
        found = _REQUIREMENT.fullmatch(line)
        if found is not None:
            yield found["name"], found["extra"]


def _extra(name: str, brings: str, packages: list[str]) -> Extra:
    versions = {package: installed_version(package) for package in packages}
    installed = {package: found for package, found in versions.items() if found is not None}
    missing = tuple(package for package, found in versions.items() if found is None)
    return Extra(name, brings, installed, missing)
