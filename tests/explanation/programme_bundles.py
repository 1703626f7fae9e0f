"""Bundles whose networks read programmes, and that predict genes, as far as anybody can tell."""

from __future__ import annotations

import numpy as np
import torch

from histodistill.inference import Member
from histodistill.model import Networks, NetworkSettings
from histodistill.preparation import ExpressionProgrammes, Transforms
from histodistill.preparation.predicted_genes import PredictedGenes
from tests.deploy.bundles import WIDTH

PROGRAMMES = 3
GENES = ("mrna:ERBB2", "mrna:GATA3", "mrna:MKI67", "mrna:ESR1", "cna:ERBB2", "cna:MYC")
# How well slides predict them: all above chance but MKI67.
PROGRAMME_SD = (0.5, 2.0, 1.0)
GENE_R = (0.5, 0.4, 0.02, 0.3, 0.45, 0.2)


def programme_member(
    order: tuple[int, ...] = (0, 1, 2),
    signs: tuple[int, ...] = (1, 1, 1),
    seed: int = 0,
    predicted: bool = True,
) -> Member:
    """A member whose programmes stand in some order and point some way; its genes are the same."""
    rng = np.random.default_rng(seed)
    weight = torch.from_numpy(rng.normal(size=(WIDTH, PROGRAMMES))).float()
    bias = torch.from_numpy(rng.normal(size=PROGRAMMES)).float()
    genes = torch.from_numpy(rng.normal(size=(PROGRAMMES, len(GENES)))).float()
    turned = torch.tensor(signs).float()
    kept = list(order)
    told = PredictedGenes(
        GENES,
        genes[kept] * turned[:, None],
        torch.tensor(GENE_R),
        torch.tensor([0.6, 0.5, 0.01])[kept],
        torch.tensor(PROGRAMME_SD)[kept],
        n_patients=200,
    )
    programmes = ExpressionProgrammes(
        weight[:, kept] * turned, bias[kept] * turned, None, told if predicted else None
    )
    settings = NetworkSettings(
        networks=("student",), student="linear", programmes=PROGRAMMES, width=8, attention_width=4
    )
    torch.manual_seed(seed)
    networks = Networks(PROGRAMMES, {}, 2, settings)
    with torch.no_grad():
        for own in networks.parameters():
            own.normal_(0, 2)
    return Member(networks.eval(), Transforms(None, {}, programmes), {"student": 0.4})
