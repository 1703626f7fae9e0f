"""How the multimodal teacher joins the slide and the genes of a patient."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histodistill.model.settings import NetworkSettings


class BilinearProduct(nn.Bilinear):
    """``nn.Bilinear`` computed as two matrix products, many times faster on small batches."""

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """``y_k = input1 W_k input2 + b_k`` for inputs [n, i] and [n, j]: [n, k]."""
        # [n, i] x [i, k * j], then the sum over j for every patient.
        left = torch.einsum("ni,kij->nkj", input1, self.weight)
        return torch.einsum("nkj,nj->nk", left, input2) + self.bias


class GatedModality(nn.Module):
    """One modality, gated by both: ``dropout(relu(W_o (sigmoid(z) * h)))``."""

    def __init__(self, width: int, fusion_width: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(width, fusion_width), nn.ReLU())
        self.gate = BilinearProduct(width, width, fusion_width)
        self.out = nn.Sequential(
            nn.Linear(fusion_width, fusion_width), nn.ReLU(), nn.Dropout(dropout)
        )

    def forward(self, modality: Tensor, path: Tensor, omic: Tensor) -> Tensor:
        """Gated features [n, fusion_width] of ``modality`` [n, d]."""
        gated: Tensor = self.out(torch.sigmoid(self.gate(path, omic)) * self.hidden(modality))
        return gated


class BilinearFusion(nn.Module):
    """Gated Kronecker product with skip connections.

    Source: Chen et al., "Pathomic Fusion", IEEE TMI 2020, section II-D, eq. 5-6.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        width, small, dropout = settings.width, settings.fusion_width, settings.dropout
        self.path = GatedModality(width, small, dropout)
        self.omic = GatedModality(width, small, dropout)
        self.product_dropout = nn.Dropout(dropout)
        self.product = nn.Sequential(
            nn.Linear((small + 1) ** 2, width), nn.ReLU(), nn.Dropout(dropout)
        )
        self.joint = nn.Sequential(nn.Linear(3 * width, width), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, path: Tensor, omic: Tensor) -> Tensor:
        """Fused features [n, d] of slide [n, d] and gene [n, d] features."""
        a = _append_one(self.path(path, path, omic))
        b = _append_one(self.omic(omic, path, omic))
        kronecker = torch.einsum("ni,nj->nij", a, b).flatten(1)
        product = self.product(self.product_dropout(kronecker))
        fused: Tensor = self.joint(torch.cat([product, path, omic], dim=1))
        return fused


class ConcatFusion(nn.Module):
    """Concatenation, then two layers."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        width = settings.width
        self.joint = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width), nn.ReLU()
        )

    def forward(self, path: Tensor, omic: Tensor) -> Tensor:
        """Fused features [n, d] of slide [n, d] and gene [n, d] features."""
        fused: Tensor = self.joint(torch.cat([path, omic], dim=1))
        return fused


def build_fusion(settings: NetworkSettings) -> BilinearFusion | ConcatFusion:
    """The fusion that the settings name."""
    return BilinearFusion(settings) if settings.fusion == "bilinear" else ConcatFusion(settings)


def _append_one(features: Tensor) -> Tensor:
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)
