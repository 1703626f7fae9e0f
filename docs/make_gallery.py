"""The pictures of docs/gallery, from simulated patients: `python docs/make_gallery.py`.

Takes some minutes. Every picture is what a command of the program drew, made smaller.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml
from PIL import Image

DOCS = Path(__file__).parent
GALLERY = DOCS / "gallery"
METHODS = ("programmes", "linear", "abmil", "snn")
# The simulated patient whose slide is shown.
SHOWN = "SIM-S05-0060"
OF_A_SLIDE = "^(SIM-S[0-9]+-[0-9]+)"
WIDEST_PX, COLOURS = 1100, 256
# Tissue compresses badly.
MAP_PX = 700


def main() -> None:
    """Make all pictures in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory() as name:
        of_predictions(Path(name))
        of_maps(Path(name))


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
    sets = gene_sets(work / "demo/paired/truth_genes.csv", work / "sets.gmt")
    ranked = ("explain-genes", str(file), "--method", "programmes", "--sets", str(sets))
    histodistill(work, *ranked, "--out", "genes")
    keep(work / "genes/genes-genomic-1.png", "genes")


def of_maps(work: Path) -> None:
    """A map of what the student saw, and one of the gene that slides predict best."""
    experiment = yaml.safe_load((DOCS.parent / "examples/simulated.yaml").read_text("utf-8"))
    experiment["methods"] = {"programmes": {"training": {"unlabelled": True}}}
    file = work / "examples" / "simulated.yaml"
    file.write_text(yaml.safe_dump(experiment), encoding="utf-8")
    slides, features = "demo/cohort/slides", "demo/cohort/features"
    drawn = ("--slides", "--patients", "60", "--slide-px", "2048")
    histodistill(work, "simulate", "demo/cohort", *drawn)
    histodistill(work, "extract", slides, "--encoder", "efficientnet-lite0", "--out", features)
    histodistill(work, "train", str(file), "--out", "bundle")
    maps = ("explain", "bundle", "--features", features, "--slides", slides)
    whose = ("--patient", SHOWN, "--patient-pattern", OF_A_SLIDE)
    histodistill(work, *maps, *whose, "--out", "maps")
    told = pd.read_csv(work / "maps/predictability.csv")
    best = next(name for name in told["name"] if ":" in name)
    histodistill(work, *maps, *whose, "--gene", best, "--out", "gene-maps")
    folder = work / "gene-maps" / SHOWN / f"{SHOWN}-simulated-1"
    keep(folder / "student.png", "explanation", MAP_PX)
    keep(next(folder.glob("mrna-*.png")), "gene", MAP_PX)


def gene_sets(truth: Path, file: Path) -> Path:
    """The simulated programmes of genes as a GMT file."""
    groups = pd.read_csv(truth).groupby("PROGRAMME")["GENE"]
    lines = [f"{name}\tsimulated\t" + "\t".join(genes) for name, genes in groups]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def histodistill(folder: Path, *words: str) -> None:
    """Run a command in a folder."""
    program = shutil.which("histodistill", path=str(Path(sys.executable).parent)) or "histodistill"
    subprocess.run([program, *words], cwd=folder, check=True)


def keep(picture: Path, name: str, widest: int = WIDEST_PX) -> None:
    """Put a picture into the gallery, small enough for a repository."""
    with Image.open(picture) as image:
        small = image.convert("RGB")
        small.thumbnail((widest, widest))
        # By coverage: the commonest colours alone are grey tissue and paper, and lines of other
        # colours would be drawn alike.
        fewer = small.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
        fewer.save(GALLERY / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
