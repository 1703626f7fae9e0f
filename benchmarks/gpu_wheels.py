"""Everything that ``benchmarks/gpu.sh`` needs beside PyTorch, as wheels to carry along.

    make gpu-wheels

For the Python that runs this, in the versions that are installed for it.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
WHEELS = ROOT / "build" / "gpu" / "wheels"
WANTED = ("histodistill[slides]", "pytest")
# What the machine with the GPU has; with it comes what it needs itself.
THERE = {"torch", "torchvision"}


def needed(wanted: tuple[str, ...]) -> dict[str, str]:
    """Names and versions of packages and all that they need, without PyTorch."""
    found: dict[str, str] = {}
    waiting = [Requirement(text) for text in wanted]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        key = name, tuple(sorted(requirement.extras))
        if name in THERE or key in seen:
            continue
        seen.add(key)
        found[name] = version(name)
        for text in requires(name) or ():
            below = Requirement(text)
            extras = requirement.extras or {""}
            if below.marker is None or any(below.marker.evaluate({"extra": e}) for e in extras):
                waiting.append(below)
    return found


def main() -> None:
    """Fetch or build a wheel of each."""
    try:
        packages = needed(WANTED)
    except PackageNotFoundError as error:
        sys.exit(f"{error.name} is not installed for {sys.executable}: `make demo` installs all")
    del packages["histodistill"]
    named = [f"{name}=={number}" for name, number in sorted(packages.items())]
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(WHEELS)]
    subprocess.run([*command, *named, str(ROOT)], check=True)
    size = sum(path.stat().st_size for path in WHEELS.glob("*.whl"))
    print(f"{len(named) + 1} wheels, {size / 1e6:.0f} MB: {WHEELS}")


if __name__ == "__main__":
    main()
