"""CMTA: each modality is translated into the other (Zhou & Chen, ICCV 2023).

Self-attention is that of TransMIL: exact in sequences of up to eight tokens for each landmark,
that is four times the width; in longer bags Nyström's approximation through as many segments as
half the width, nothing padded. The gene tokens of a patient are attended exactly, those of
missing blocks left out. The order of the patches counts: they are laid row by row on a square.
Weights begin as those of PyTorch's layers do.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from histodistill.model.batch import Bags, Genes, Output, paired
from histodistill.model.layers.fusion import ConcatFusion
from histodistill.model.layers.nystrom import NystromAttention
from histodistill.model.layers.self_normalising import TokenEncoders
from histodistill.model.registries import MULTIMODAL_TEACHERS
from histodistill.model.settings import NetworkSettings
from histodistill.model.shape import Shape
from histodistill.model.students.transmil import PyramidPositions, squared
from histodistill.model.teachers.multimodal.base import MultimodalTeacher

ATTENTION_DROPOUT = 0.1
HIDDEN_GENES = 4  # times the width
CLASS_TOKEN_SCALE = 1e-6


class SequenceTransformer(nn.Module):
    """A class token and two layers of self-attention: an encoder, or a decoder.

    Args:
        settings: Sizes and dropout; that of the attention is 0.1, or ``dropout`` if less.
        positions: What goes between the layers; it keeps the shape of the sequence.
    """

    def __init__(self, settings: NetworkSettings, positions: nn.Module) -> None:
        super().__init__()
        width = settings.width
        dropout = min(ATTENTION_DROPOUT, settings.dropout)
        self.token = nn.Parameter(CLASS_TOKEN_SCALE * torch.randn(1, width))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), NystromAttention(width, max(1, width // 2), dropout))
            for _ in range(2)
        )
        self.positions = positions
        self.norm = nn.LayerNorm(width)

    def forward(self, sequence: Tensor) -> tuple[Tensor, Tensor]:
        """The class token [d] and the other tokens [S, d] of a sequence [S, d]."""
        first, second = self.layers
        sequence = torch.cat([self.token.to(sequence.dtype), sequence])
        sequence = sequence + first(sequence)
        sequence = torch.cat([sequence[:1], self.positions(sequence[1:])])
        sequence = self.norm(sequence + second(sequence))
        return sequence[0], sequence[1:]


@MULTIMODAL_TEACHERS.declare(
    "cmta",
    text="CMTA, cross-modal translation and alignment",
    source="Zhou 2023, ICCV",
    differs="tokens as in `mcat`; self-attention as in `transmil`; gene tokens are attended "
    "exactly, where the code pads the 7 of a patient to 256 with zeros, which take most "
    "of the attention: 0.5 to 1.1 of a mean size of 0.6 apart, 0.13 (100 patches) to less"
    " than 0.01 (3000) without this",
    reads="slides and genes, the order of patches counts",
    heads=True,
)
class CMTA(MultimodalTeacher):
    """An encoder and a decoder for each modality, with cross-attention from one to the other.

    The decoder of the slide reads what the patches find in the genes, that of the genes what the
    gene tokens find in the patches. The alignment loss, ``auxiliary``, is the L1 distance
    (mean over features and patients) between what a decoder translated and what the encoder of
    the same modality found, which is detached; both modalities are summed.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        width, dropout = settings.width, settings.dropout
        self.patches = nn.Sequential(
            *(nn.Linear(shape.feature_width, width), nn.ReLU(), nn.Dropout(dropout)),
            *(nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout)),
        )
        self.tokens = TokenEncoders(shape.blocks, HIDDEN_GENES * width, settings)
        self.path_encoder = SequenceTransformer(settings, PyramidPositions(width))
        self.path_decoder = SequenceTransformer(settings, PyramidPositions(width))
        self.omic_encoder = SequenceTransformer(settings, nn.Identity())
        self.omic_decoder = SequenceTransformer(settings, nn.Identity())
        self.path_to_omic = nn.MultiheadAttention(width, num_heads=1)
        self.omic_to_path = nn.MultiheadAttention(width, num_heads=1)
        self.fusion = ConcatFusion(width, hidden=width)
        self.classifier = nn.Linear(width, shape.n_classes)

    def forward(self, bags: Bags, genes: Genes) -> Output:
        """Features and logits of the patients of the batch that have bags and genes."""
        bags, genes = paired(bags, genes)
        hidden = torch.split(self.patches(bags.patches), list(bags.sizes))
        tokens = [own[mask] for own, mask in zip(self.tokens(genes), genes.mask(), strict=True)]
        patients = [self._translated(*both) for both in zip(hidden, tokens, strict=True)]
        path, omic, path_translated, omic_translated = map(torch.stack, zip(*patients, strict=True))
        features = self.fusion((path + path_translated) / 2, (omic + omic_translated) / 2)
        auxiliary = None
        if self.training:
            auxiliary = l1_loss(path_translated, path.detach())
            auxiliary = auxiliary + l1_loss(omic_translated, omic.detach())
        return Output(features, self.classifier(features), bags.rows, auxiliary)

    def _translated(self, bag: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Slide and gene features of one patient, encoded and then translated, [d] each.

        Args:
            bag: Hidden patches, [N, d].
            tokens: Hidden gene tokens of the blocks that the patient has, [T, d].
        """
        path, patches = self.path_encoder(squared(bag))
        omic, genes = self.omic_encoder(tokens)
        found_in_genes, _ = self.path_to_omic(patches, genes, genes, need_weights=False)
        found_in_patches, _ = self.omic_to_path(genes, patches, patches, need_weights=False)
        path_translated, _ = self.path_decoder(found_in_genes)
        omic_translated, _ = self.omic_decoder(found_in_patches)
        return path, omic, path_translated, omic_translated
