"""The pictures of docs/gallery, from simulated patients: `python docs/make_gallery.py`.

Takes some minutes. Every picture is what a command of the program drew, made smaller.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from PIL import Image

DOCS = Path(__file__).parent
GALLERY = DOCS / "gallery"
METHODS = ("programmes", "linear", "abmil", "snn")
WIDEST_PX, COLOURS = 1100, 128


def main() -> None:
    """Make all pictures in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory() as name:
        of_predictions(Path(name))


def of_predictions(work: Path) -> None:
    """ROC curves, reliability, all methods with intervals, training curves."""
    experiment = yaml.safe_load((DOCS.parent / "examples/suite.yaml").read_text(encoding="utf-8"))
    experiment["methods"] = {name: experiment["methods"][name] for name in METHODS}
    file = work / "examples" / "suite.yaml"
    file.parent.mkdir()
    file.write_text(yaml.safe_dump(experiment), encoding="utf-8")
    histodistill(work, "simulate", "demo/paired", "--patients", "400")
    histodistill(work, "suite", str(file))
    histodistill(work, "crossval", str(file))
    figures = work / "demo/suite/report/figures"
    keep(figures / "roc-ER.png", "roc")
    keep(figures / "calibration-ER.png", "reliability")
    keep(next(figures.glob("training-ER-programmes*.png")), "training")
    keep(work / "demo/suite/leaderboard/figures/auc.png", "leaderboard")


def histodistill(folder: Path, *words: str) -> None:
    """Run a command in a folder."""
    program = shutil.which("histodistill", path=str(Path(sys.executable).parent)) or "histodistill"
    subprocess.run([program, *words], cwd=folder, check=True)


def keep(picture: Path, name: str) -> None:
    """Put a picture into the gallery, small enough for a repository."""
    with Image.open(picture) as image:
        small = image.convert("RGB")
        small.thumbnail((WIDEST_PX, WIDEST_PX))
        small.quantize(COLOURS).save(GALLERY / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
