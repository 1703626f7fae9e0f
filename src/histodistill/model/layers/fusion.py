"""How multimodal teachers join the slide feature and the gene feature of a patient."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from histodistill.model.layers.dropout import Dropout
from histodistill.model.settings import NetworkSettings


class BilinearProduct(nn.Bilinear):
    """``nn.Bilinear`` computed as two matrix products, many times faster on small batches."""

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """``y_k = input1 W_k input2 + b_k`` for inputs [n, i] and [n, j]: [n, k]."""
        outputs, first, second = self.weight.shape
        # The weights as they lie in memory, [k * i, j]: they are the largest of the network,
        # and any other order of the sums would copy them, there and back.
        right = linear(input2, self.weight.view(outputs * first, second))
        return (right.view(-1, outputs, first) @ input1[:, :, None]).squeeze(2) + self.bias


class ConcatGate(nn.Module):
    """A linear gate on both inputs, concatenated: built and called like ``BilinearProduct``."""

    def __init__(self, in1_features: int, in2_features: int, out_features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in1_features + in2_features, out_features)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """From inputs [n, i] and [n, j] to [n, k]."""
        gate: Tensor = self.linear(torch.cat([input1, input2], dim=1))
        return gate


Gate = type[BilinearProduct] | type[ConcatGate]


class GatedModality(nn.Module):
    """One modality, gated by both: ``dropout(relu(W_o (sigmoid(z) * h)))``."""

    def __init__(self, width: int, fusion_width: int, dropout: float, gate: Gate) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(width, fusion_width), nn.ReLU())
        self.gate = gate(width, width, fusion_width)
        self.out = nn.Sequential(nn.Linear(fusion_width, fusion_width), nn.ReLU(), Dropout(dropout))

    def forward(self, modality: Tensor, path: Tensor, omic: Tensor) -> Tensor:
        """Gated features [n, fusion_width] of ``modality`` [n, d]."""
        gated: Tensor = self.out(torch.sigmoid(self.gate(path, omic)) * self.hidden(modality))
        return gated


class KroneckerFusion(nn.Module):
    """Gated Kronecker product with skip connections.

    Source: Chen et al., "Pathomic Fusion", IEEE TMI 2020, section II-D, eq. 5-6.

    Args:
        width: Size of the slide feature and of the gene feature.
        settings: Sizes of the gated and the fused features, and dropout.
        gate: How the gate z reads both modalities.
        skip_gated: The skip connections carry the gated features, a one appended, as in the
            source; otherwise the features that come in, as in MKD and PORPOISE.
    """

    def __init__(
        self,
        width: int,
        settings: NetworkSettings,
        gate: Gate = BilinearProduct,
        *,
        skip_gated: bool = False,
    ) -> None:
        super().__init__()
        fused, small, dropout = settings.width, settings.fusion_width, settings.dropout
        self.skip_gated = skip_gated
        self.path = GatedModality(width, small, dropout, gate)
        self.omic = GatedModality(width, small, dropout, gate)
        self.product_dropout = Dropout(dropout)
        self.product = nn.Sequential(
            nn.Linear((small + 1) ** 2, fused), nn.ReLU(), Dropout(dropout)
        )
        skipped = small + 1 if skip_gated else width
        self.joint = nn.Sequential(
            nn.Linear(fused + 2 * skipped, fused), nn.ReLU(), Dropout(dropout)
        )

    def forward(self, path: Tensor, omic: Tensor) -> Tensor:
        """Fused features [n, d] of slide [n, width] and gene [n, width] features."""
        a = _append_one(self.path(path, path, omic))
        b = _append_one(self.omic(omic, path, omic))
        kronecker = torch.einsum("ni,nj->nij", a, b).flatten(1)
        product = self.product(self.product_dropout(kronecker))
        skipped = (a, b) if self.skip_gated else (path, omic)
        fused: Tensor = self.joint(torch.cat([product, *skipped], dim=1))
        return fused


class ConcatFusion(nn.Module):
    """Concatenation, then two layers.

    Args:
        width: Size d of the slide, the gene and the fused features.
        hidden: Size of the first layer.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.joint = nn.Sequential(
            nn.Linear(2 * width, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.ReLU()
        )

    def forward(self, path: Tensor, omic: Tensor) -> Tensor:
        """Fused features [n, d] of slide [n, d] and gene [n, d] features."""
        fused: Tensor = self.joint(torch.cat([path, omic], dim=1))
        return fused


def build_fusion(settings: NetworkSettings) -> KroneckerFusion | ConcatFusion:
    """The fusion that the settings name."""
    if settings.fusion == "bilinear":
        return KroneckerFusion(settings.width, settings)
    return ConcatFusion(settings.width, hidden=2 * settings.width)


def _append_one(features: Tensor) -> Tensor:
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)
