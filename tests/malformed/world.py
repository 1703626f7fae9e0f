"""A small world on disk: every kind of file that a command reads, all of it sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import torch
import yaml
from safetensors.torch import load_file

from histodistill.cli.main import app
from histodistill.simulation import SimulationSettings, simulate_cohort

NETWORK = {"width": 8, "attention_width": 4, "token_size": 16, "fusion_width": 4}
N_NEW = 6


def build(folder: Path) -> None:
    """Write the world: cohort, finished results, bundle, checkpoint and slide."""
    settings = SimulationSettings(
        n_patients=40,
        n_sites=4,
        n_genes=48,
        width=8,
        min_patches=3,
        max_patches=8,
        positive_share=0.6,
        share_without_genomics=0.1,
        share_without_label=0.1,
    )
    simulate_cohort(folder / "cohort", settings)
    _tables(folder / "cohort")
    _new_patients(folder)
    _experiments(folder)
    for words in (
        ["crossval", "experiment.yaml", "--no-report"],
        ["train", "experiment.yaml", "--method", "mkd", "--out", "bundle"],
        ["pack", "packed.yaml"],
        ["predict", "bundle", "--features", "new-h5", *_NAMED, "--out", "answers.csv"],
    ):
        _run(folder, words)
    _checkpoints(folder)
    _slide(folder)


_NAMED = ["--patient-pattern", "^(N\\d)"]


def _run(folder: Path, words: list[str]) -> None:
    import contextlib
    import io

    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        app(words, standalone_mode=False)


def _tables(cohort: Path) -> None:
    """The clinical table and the expression in every container."""
    clinical = pd.read_csv(cohort / "clinical.csv", dtype=str)
    clinical.to_csv(cohort / "clinical.tsv", sep="\t", index=False)
    clinical.to_csv(cohort / "clinical.csv.gz", index=False)
    clinical.to_excel(cohort / "clinical.xlsx", index=False)
    clinical.to_parquet(cohort / "clinical.parquet")
    genes = pd.read_csv(cohort / "mrna_zscores.txt", sep="\t", index_col="Hugo_Symbol")
    genes = genes.drop(columns="Entrez_Gene_Id")
    genes.rename_axis("sample").to_csv(cohort / "xena.tsv.gz", sep="\t")
    patients = genes.T.rename_axis("PATIENT").reset_index()
    patients.to_csv(cohort / "plain.csv", index=False)
    patients.to_csv(cohort / "plain.csv.gz", index=False)
    patients.to_excel(cohort / "plain.xlsx", index=False)
    patients.to_parquet(cohort / "plain.parquet")


def _new_patients(folder: Path) -> None:
    """Features of new patients in every container, and their genes."""
    rng = np.random.default_rng(3)
    for place in ("new-h5", "new-pt", "new-bf16", "new-npy", "new-npz", "new-stamp"):
        (folder / place).mkdir()
    for number in range(N_NEW):
        bag = rng.normal(size=(5, 8)).astype(np.float32)
        name = f"N{number}"
        with h5py.File(folder / "new-h5" / f"{name}.h5", "w") as file:
            file.create_dataset("features", data=bag).attrs["encoder"] = "simulated"
            coords = file.create_dataset("coords", data=np.arange(10).reshape(5, 2) * 256)
            coords.attrs.update({"patch_size": 256, "target_magnification": 20})
        with h5py.File(folder / "new-stamp" / f"{name}.h5", "w") as file:
            file["feats"] = bag.astype(np.float16)
            file["coords"] = np.arange(10).reshape(5, 2) * 256.0
            file.attrs.update({"extractor": "simulated", "unit": "um", "tile_size_um": 128.0})
        torch.save(torch.from_numpy(bag), folder / "new-pt" / f"{name}.pt")
        torch.save(torch.from_numpy(bag).bfloat16(), folder / "new-bf16" / f"{name}.pt")
        np.save(folder / "new-npy" / f"{name}.npy", bag)
        np.savez(folder / "new-npz" / f"{name}.npz", features=bag)
    genes = pd.read_csv(folder / "cohort" / "plain.csv").head(N_NEW)
    genes.assign(PATIENT=[f"N{i}" for i in range(N_NEW)]).to_csv(
        folder / "new-genes.csv", index=False
    )
    labels = ["negative", "positive"] * (N_NEW // 2)
    pd.DataFrame({"PATIENT": [f"N{i}" for i in range(N_NEW)], "ER": labels}).to_csv(
        folder / "new-labels.csv", index=False
    )


def _experiments(folder: Path) -> None:
    """An experiment file for each container of tables, one with folds, one with packed bags."""
    base: dict[str, Any] = {
        "name": "Small",
        "simulated": True,
        "cohort": {
            "clinical": "cohort/clinical.csv",
            "site_column": "SITE",
            "survival": {"time": "OS_MONTHS", "event": "OS_STATUS"},
            "slides": "cohort/slides.csv",
        },
        "features": {"directory": "cohort/features"},
        "genomics": {"mrna": {"file": "cohort/mrna_zscores.txt", "selection": {"n_genes": 20}}},
        "targets": {"ER": {"classes": ["negative", "positive"], "positive": "positive"}},
        "splits": {"folds": 2},
        "training": {"max_epochs": 1, "device": "cpu"},
        "methods": {"abmil": {"network": NETWORK}, "mkd": {"network": NETWORK}},
        "baselines": [],
        "output": "results",
    }

    def write(name: str, **changes: Any) -> None:
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(base | changes))

    write("experiment")
    for suffix in ("tsv", "csv.gz", "xlsx", "parquet"):
        cohort = base["cohort"] | {"clinical": f"cohort/clinical.{suffix}"}
        write(f"clinical-{suffix}", cohort=cohort)
    for name in ("xena.tsv.gz", "plain.csv", "plain.csv.gz", "plain.xlsx", "plain.parquet"):
        write(
            f"genes-{name}",
            genomics={"mrna": base["genomics"]["mrna"] | {"file": f"cohort/{name}"}},
        )
    write("packed", features={"directory": "cohort/features", "cache": "packs"})
    write("folds", splits={"scheme": "files", "directory": "folds"}, output="results-folds")
    labels = pd.read_csv(folder / "cohort" / "clinical.csv", dtype=str).dropna(subset=["ER"])
    (folder / "folds").mkdir()
    names = labels["PATIENT"].to_numpy()
    for fold in range(2):
        test = names[fold::2]
        rest = names[1 - fold :: 2]
        columns = {"train": rest[6:], "val": rest[:6], "test": test}
        pd.DataFrame({k: pd.Series(v) for k, v in columns.items()}).to_csv(
            folder / "folds" / f"splits_{fold}.csv", index=False
        )


def _checkpoints(folder: Path) -> None:
    """A student in the authors' layout."""
    draw = torch.Generator().manual_seed(1)
    shapes = {"_fc1.0": (256, 8), "classifier.fc": (2, 256)}
    gates = {
        "attention_V.0": (128, 256),
        "attention_U.0": (128, 256),
        "attention_weights": (1, 128),
    }
    shapes |= {f"attention.{name}": shape for name, shape in gates.items()}
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = torch.randn(shape, generator=draw) / 16
        state[f"{name}.bias"] = torch.zeros(shape[0])
    torch.save(state, folder / "student.pt")
    load_file(folder / "bundle" / "member-0" / "networks.safetensors")  # it is there


def _slide(folder: Path) -> None:
    """A slide with tissue, its outline and its mask."""
    import json

    import tifffile
    from PIL import Image

    rng = np.random.default_rng(0)
    picture = np.full((512, 512, 3), 245, np.uint8)
    y, x = np.mgrid[:512, :512] / 512 - 0.5
    inside = (x / 0.4) ** 2 + (y / 0.3) ** 2 < 1
    picture[inside] = (np.array([170, 90, 150]) + rng.integers(-30, 30, (512, 512, 3)))[inside]
    for place in ("slides", "outlines", "masks"):
        (folder / place).mkdir()
    tifffile.imwrite(
        folder / "slides" / "S.tiff",
        picture,
        tile=(128, 128),
        photometric="rgb",
        resolution=(1e4, 1e4),
        resolutionunit=3,
    )
    square = [[100, 100], [400, 100], [400, 400], [100, 400], [100, 100]]
    outline = {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [square]},
                "properties": {"objectType": "annotation", "classification": {"name": "Tissue"}},
            }
        ],
    }
    (folder / "outlines" / "S.geojson").write_text(json.dumps(outline))
    mask = Image.new("L", (128, 128))
    mask.paste(255, (30, 30, 100, 100))
    mask.save(folder / "masks" / "S.png")

    class Colours(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)

    torch.jit.trace(Colours(), torch.zeros(2, 3, 64, 64)).save(str(folder / "encoder.pt"))
