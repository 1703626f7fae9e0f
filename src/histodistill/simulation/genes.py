"""Simulated expression: gene programmes that show the latent variables, and gene noise.

For gene k of programme p(k) in patient i of hospital h(i)::

    raw_ik = l_k · z_{p(k), i} + δ_{h(i), k} + η_ik,   |l_k| ~ U(0.4, 0.9), the sign at random
    δ ~ N(0, site_shift²),  η ~ N(0, gene_noise²)

and each gene is then standardised over the cohort. 15 % of the genes follow the shared latent,
15 % the genomic-only latent, 15 % each of two nuisance latents that nothing else shows, and the
rest none. With hundreds of genes a programme's mean measures its latent almost without error.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from histodistill.simulation.settings import CohortSettings
from histodistill.simulation.truth import Stream, generator, site_number

PROGRAMMES = ("shared", "genomic_only", "nuisance_1", "nuisance_2")
_PROGRAMME_SHARE = 0.15
_LOADING_RANGE = (0.4, 0.9)


def draw_programmes(settings: CohortSettings) -> pd.DataFrame:
    """Which programme each gene belongs to and how strongly.

    Args:
        settings: The cohort's settings.

    Returns:
        A row a gene: GENE (SIMG0001), PROGRAMME (one of `PROGRAMMES`, or none), LOADING.
    """
    rng = generator(settings, Stream.GENES, 0)
    size = round(_PROGRAMME_SHARE * settings.n_genes)
    names = [name for name in PROGRAMMES for _ in range(size)]
    names += ["none"] * (settings.n_genes - len(names))
    programme = rng.permutation(names)
    loading = rng.uniform(*_LOADING_RANGE, settings.n_genes)
    loading *= rng.choice([-1.0, 1.0], settings.n_genes)
    return pd.DataFrame(
        {
            "GENE": [f"SIMG{number:04d}" for number in range(1, settings.n_genes + 1)],
            "PROGRAMME": programme,
            "LOADING": np.where(programme == "none", 0.0, loading),
        }
    )


def draw_expression(
    settings: CohortSettings, truth: pd.DataFrame, programmes: pd.DataFrame
) -> pd.DataFrame:
    """Measure every gene of every patient, as z-scores over the cohort.

    Args:
        settings: The cohort's settings.
        truth: The patients, from `draw_truth`.
        programmes: The genes, from `draw_programmes`.

    Returns:
        Float64 z-scores, genes x patients, all patients included.
    """
    rng = generator(settings, Stream.GENES, 1)
    shape = (settings.n_genes, settings.n_patients)
    nuisance = rng.standard_normal((2, settings.n_patients))
    latents = dict(zip(PROGRAMMES[2:], nuisance, strict=True))
    latents["shared"] = truth["SHARED"].to_numpy()
    latents["genomic_only"] = truth["GENOMIC_ONLY"].to_numpy()
    latents["none"] = np.zeros(settings.n_patients)
    site_shift = settings.site_shift * rng.standard_normal((settings.n_genes, settings.n_sites))
    site = [site_number(name) for name in truth["SITE"]]
    raw = (
        programmes["LOADING"].to_numpy()[:, None]
        * np.stack([latents[name] for name in programmes["PROGRAMME"]])
        + site_shift[:, site]
        + settings.gene_noise * rng.standard_normal(shape)
    )
    spread = raw.std(axis=1, keepdims=True)
    zscores = (raw - raw.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    return pd.DataFrame(zscores, index=programmes["GENE"], columns=truth["PATIENT"])
