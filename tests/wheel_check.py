"""The wheel alone, in an empty environment, runs the README's first experiment: `make wheel-check`.

Takes minutes, most of them the installation of PyTorch, so it is no part of the tests.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import pandas as pd
import yaml

from histodistill.experiment.recipes import merged
from tests.documentation import downloads
from tests.documentation.pages import ROOT, blocks

SHORT = {"splits": {"folds": 2}, "training": {"max_epochs": 2, "device": "cpu"}}


def main() -> None:
    """Build, install, run; the first command that fails ends it."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        wheel = build(work / "wheel")
        program = install(wheel, work / "environment")
        first_experiment(work / "first", program)
        print(f"{wheel.name}: runs the README's first experiment")  # noqa: T201


def build(folder: Path) -> Path:
    """The wheel of this checkout."""
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (wheel,) = folder.glob("histodistill-*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """The program, in a new environment that has nothing but the wheel and what it needs."""
    venv.create(folder, with_pip=True)
    constraint = ("--constraint", str(ROOT / "constraints.txt"))
    run(str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *constraint, str(wheel))
    return folder / "bin/histodistill"


def first_experiment(folder: Path, program: Path) -> None:
    """The first experiment of the README, word by word, on small simulated files."""
    folder.mkdir()
    downloads.readme(folder)
    shown = blocks(ROOT / "README.md")
    place = next(i for i, block in enumerate(shown) if block.language == "yaml")
    experiment = merged(yaml.safe_load(shown[place].text), SHORT)
    (folder / "experiment.yaml").write_text(yaml.safe_dump(experiment), encoding="utf-8")
    for command in shown[place + 1].commands():
        if command[0] != "view":  # needs an extra, and serves until it is stopped
            run(str(program), *command, folder=folder)
    answers = pd.read_csv(folder / "predictions.csv")
    assert len(answers) == downloads.N_PATIENTS, answers


def run(*words: str, folder: Path | None = None) -> None:
    """Run a command that must succeed, with nothing of this checkout in its reach."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(words, cwd=folder, env=environment, check=True)


if __name__ == "__main__":
    main()
