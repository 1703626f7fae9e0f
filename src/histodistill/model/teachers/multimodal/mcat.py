"""MCAT: the genes choose what to read in the slide (Chen et al., ICCV 2021).

The tokens of genes take the place of the paper's sets of genes by biological function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from histodistill.model.batch import Bags, Genes, Output, paired
from histodistill.model.layers.attention import GatedAttention, pool_tokens
from histodistill.model.layers.fusion import ConcatFusion
from histodistill.model.layers.self_normalising import TokenEncoders
from histodistill.model.registries import MULTIMODAL_TEACHERS
from histodistill.model.settings import NetworkSettings
from histodistill.model.shape import Shape
from histodistill.model.teachers.multimodal.base import MultimodalTeacher

HEADS = 8


class CoAttention(nn.Module):
    """Single-head attention of gene tokens on the patches of their own patient (eq. 2).

    Keys and values are linear in the patches, so both projections are moved to the few tokens
    and no patch is projected: ``(Q W_k) H^T`` are the scores and ``(A H) W_v`` the values. A
    bias of the keys would shift all scores of a token alike, which the softmax ignores.

    Args:
        width: Size d of tokens and patches.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor, patches: Tensor, sizes: Sequence[int]) -> Tensor:
        """What each token reads in the bag of its patient.

        Args:
            tokens: Gene tokens of n patients, [n, T, d].
            patches: Hidden patches, [P, d], bags laid end to end.
            sizes: Patches in each of the n bags.

        Returns:
            Slide features led by genes, [n, T, d].
        """
        queries = self.query(tokens) @ self.key.weight / math.sqrt(tokens.shape[2])
        read = []
        for query, bag in zip(queries, torch.split(patches, list(sizes)), strict=True):
            weights = torch.softmax((query @ bag.T).float(), dim=1)
            read.append(weights.to(bag.dtype) @ bag)
        attended: Tensor = self.out(self.value(torch.stack(read)))
        return attended


class TokenTransformer(nn.Module):
    """Two transformer layers over tokens, gated-attention pooling, and one more layer (eq. 3-5).

    Args:
        settings: Sizes and dropout.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        width, dropout = settings.width, settings.dropout
        layer = nn.TransformerEncoderLayer(
            width, math.gcd(width, HEADS), 2 * width, dropout, batch_first=True
        )
        # Nested tensors would give tokens that do not count a shape of their own.
        self.layers = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.attention = GatedAttention(width, settings.attention_width)
        self.out = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Features [n, d] of tokens [n, T, d], of which those in ``mask`` [n, T] count."""
        hidden = self.layers(tokens, src_key_padding_mask=~mask)
        features: Tensor = self.out(pool_tokens(self.attention(hidden), hidden, mask))
        return features


@MULTIMODAL_TEACHERS.declare(
    "mcat",
    text="MCAT, co-attention of genes and patches",
    source="Chen 2021, ICCV",
    differs="tokens of genes in order of selection instead of sets of genes by function",
    heads=True,
)
class MCAT(MultimodalTeacher):
    """Genomic-guided co-attention, a set transformer for each modality, and concatenation."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        width = settings.width
        self.patches = nn.Sequential(
            nn.Linear(shape.feature_width, width), nn.ReLU(), nn.Dropout(settings.dropout)
        )
        self.tokens = TokenEncoders(shape.blocks, width, settings)
        self.coattention = CoAttention(width)
        self.path = TokenTransformer(settings)
        self.omic = TokenTransformer(settings)
        self.fusion = ConcatFusion(width, hidden=width)
        self.classifier = nn.Linear(width, shape.n_classes)

    def forward(self, bags: Bags, genes: Genes) -> Output:
        """Features and logits of the patients of the batch that have bags and genes."""
        bags, genes = paired(bags, genes)
        mask = genes.mask()
        tokens = self.tokens(genes)
        guided = self.coattention(tokens, self.patches(bags.patches), bags.sizes)
        features = self.fusion(self.path(guided, mask), self.omic(tokens, mask))
        return Output(features, self.classifier(features), bags.rows)
