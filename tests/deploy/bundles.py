"""Small bundles with random weights, and patients for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch

from histodistill.deploy import Bundle, BundleInfo, FeatureOrigin
from histodistill.features import BagStore, FeatureScaler, open_bags
from histodistill.genomics import GenomicPreprocessor, SelectionSettings
from histodistill.inference import Member
from histodistill.model import NETWORKS, Networks, NetworkSettings
from histodistill.preparation import Transforms

WIDTH = 6
TOKENS = 2  # of 16 of the 20 genes
GENES = tuple(f"GENE{i}" for i in range(20))


def expression(
    patients: Sequence[str], genes: Sequence[str] = GENES, seed: int = 0
) -> pd.DataFrame:
    """Random expression, patients x genes."""
    values = np.random.default_rng(seed).normal(3, 2, (len(patients), len(genes)))
    return pd.DataFrame(values.astype(np.float32), index=list(patients), columns=list(genes))


def write_slide(path: Path, width: int = WIDTH, encoder: str | None = None, seed: int = 0) -> Path:
    """A feature file of a few patches."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    n_patches = int(rng.integers(3, 9))
    with h5py.File(path, "w") as file:
        data = file.create_dataset("features", data=rng.normal(1, 2, (n_patches, width)))
        file["coords"] = np.zeros((n_patches, 2), int)
        if encoder is not None:
            data.attrs["encoder"] = encoder
    return path


def bags_of(folder: Path, patients: Sequence[str], **kind) -> BagStore:
    """One slide for each patient."""
    return open_bags(
        {p: [write_slide(folder / f"{p}.h5", seed=i, **kind)] for i, p in enumerate(patients)}
    )


def member(
    seed: int = 0,
    *,
    classes: int = 2,
    networks=NETWORKS,
    fusion="bilinear",
    blocks: Sequence[str] = ("mrna",),
    thresholds: dict | None = None,
    scaled: bool = False,
) -> Member:
    """A trained model, as far as anybody can tell."""
    torch.manual_seed(seed)
    settings = NetworkSettings(
        networks=networks,
        fusion=fusion,
        width=8,
        attention_width=4,
        token_size=16,
        fusion_width=4,
    )
    reads = dict.fromkeys(blocks, TOKENS) if settings.reads_genes else {}
    made = Networks(WIDTH if settings.reads_slides else None, reads, classes, settings)
    with torch.no_grad():
        for weights in made.parameters():
            weights.normal_(0, 0.5)
    training = [f"T{i}" for i in range(12)]
    fitted = {
        name: GenomicPreprocessor(
            selection=SelectionSettings(method="all", n_genes=None), block=name
        ).fit(expression(training, seed=seed + 1))
        for name in reads
    }
    scaler = FeatureScaler(torch.arange(WIDTH).float(), torch.arange(1, WIDTH + 1).float())
    chosen = dict.fromkeys(networks, 0.4) if thresholds is None else thresholds
    return Member(made.eval(), Transforms(scaler if scaled else None, fitted), chosen)


def bundle(
    *members: Member,
    classes: tuple[str, ...] = ("negative", "positive"),
    encoder: str | None = None,
) -> Bundle:
    """A bundle of the members, or of one."""
    members = members or (member(),)
    networks = members[0].networks
    info = BundleInfo(
        target="ER",
        classes=classes,
        positive="positive" if len(classes) == 2 else None,
        features=None
        if networks.feature_width is None
        else FeatureOrigin(width=WIDTH, encoder=encoder),
        blocks={name: {"transform": "none"} for name in networks.blocks},
        recipe="mkd",
        provenance={"experiment": "a test", "seed": 7},
    )
    return Bundle(info, members)
