"""G-HANet's student: tokens that reconstruct groups of genes lead the attention."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.attention import GatedAttention
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.base import MILStudent

GROUPS = 6
HEADS = 4
SHARE = 0.2
EXPANSION = 4


@STUDENTS.declare(
    "ghanet",
    text="G-HANet, attention led by tokens that reconstruct genes",
    source="Wang 2025, IEEE TMI",
    differs="classification instead of survival; groups of genes are equal stretches in order of "
    "selection instead of functional sets; one width throughout; two linear layers as "
    "classifier",
    reads="slides; genes in training",
    objective={"group_reconstruction": 0.3},
)
class GenomeInformedStudent(MILStudent):
    """Six tokens look at the patches as the genes of their groups would have them looked at.

    Source: Wang et al., "Histo-genomic knowledge association for cancer prognosis from
    histopathology whole slide images" (G-HANet), IEEE TMI 44(5), 2025, and the authors'
    released code. From there: the associating branch, whose tokens are decoded into groups of
    genes (``group_reconstruction.GroupReconstruction``, in training alone); and the
    hyper-attention branch: patches are pooled for each token by the mean of a gated attention
    and of the softmax over the fifth of the patches that the token scores highest (detached),
    transformed, averaged with the tokens, and mixed by self-attention.

    Our reading: classification instead of survival; one width throughout (the source: 512,
    and 256 at the end); the source's classifier on the concatenated tokens is two linear
    layers here, the features between them.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        width, dropout = settings.width, settings.dropout
        self.association = AssociatingBranch(shape.feature_width, width, dropout)
        self.patches = nn.Sequential(
            nn.Linear(shape.feature_width, width),
            nn.LayerNorm(width),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.gate = GatedAttention(width, settings.attention_width)
        self.transform = nn.Sequential(
            *(nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU()),
            *(nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU()),
        )
        self.mixing = nn.MultiheadAttention(width, _heads(width), dropout, batch_first=True)
        self.feed = nn.Sequential(nn.LayerNorm(width), FeedForward(width, dropout))
        self.compression = nn.Sequential(
            nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU(), nn.Dropout(dropout)
        )
        self.join = nn.Linear(GROUPS * width, width)
        self.classifier = nn.Linear(width, shape.n_classes)

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:
        """Features [n, d] and logits [n, C] of the n bags."""
        tokens, scores = self.association(bags)
        hidden = self.patches(bags.patches)
        pooled = pool_groups(self.gate(hidden), scores.detach(), hidden, bags.sizes)
        mixed = (pooled + self.transform(pooled) + tokens) / 2
        mixed = mixed + self.mixing(mixed, mixed, mixed, need_weights=False)[0]
        mixed = mixed + self.feed(mixed)
        features = self.join(self.compression(mixed).flatten(1))
        internals = {} if labels is None else {"tokens": tokens}
        return Output(features, self.classifier(features), bags.rows, internals=internals)


class AssociatingBranch(nn.Module):
    """Learned tokens, one a group of genes, that read the patches twice.

    Both readings share their attention, as in the released code.

    Args:
        feature_width: Size F of a patch feature.
        width: Size d of a token.
        dropout: Dropout probability.
    """

    def __init__(self, feature_width: int, width: int, dropout: float) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.randn(GROUPS, width))
        self.patches = nn.Sequential(
            nn.Linear(feature_width, width), nn.ReLU(), nn.Dropout(dropout), nn.LayerNorm(width)
        )
        self.attention = PatchAttention(width, dropout)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.feeds = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), FeedForward(width, dropout)) for _ in range(2)
        )
        self.last_norm = nn.LayerNorm(width)

    def forward(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """Tokens [n, G, d] of the bags, and what they think of the patches, [P, G]."""
        keys, values = self.attention.read(self.patches(bags.patches))
        read = self.tokens.new_zeros(len(bags.sizes), 1, 1)
        for norm, feed in zip(self.norms, self.feeds, strict=True):
            queries = norm(self.tokens + read)
            read, scores = self.attention(queries, keys, values, bags.sizes)
            read = read + feed(read)
        return self.last_norm(read), scores


class PatchAttention(nn.Module):
    """Multi-head attention of a few queries over the patches of each bag.

    Args:
        width: Size d of queries and patches.
        dropout: Probability that a patch is not looked at.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self._heads = _heads(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def read(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [P, heads, d / heads] of patches [P, d]."""
        return self._split(self.key(patches)), self._split(self.value(patches))

    def forward(
        self, queries: Tensor, keys: Tensor, values: Tensor, sizes: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        """Answers [n, G, d] to queries [n, G, d], and the scores [P, G], mean over heads."""
        asked = self._split(self.query(queries)) / math.sqrt(keys.shape[-1])
        lengths = list(sizes)
        answers, scores = [], []
        bags = torch.split(keys, lengths), torch.split(values, lengths)
        for q, k, v in zip(asked, *bags, strict=True):
            score = torch.einsum("ghe,phe->hgp", q, k)
            weights = self.dropout(torch.softmax(score.float(), dim=2)).to(v.dtype)
            answers.append(torch.einsum("hgp,phe->ghe", weights, v).flatten(1))
            scores.append(score.mean(dim=0).T)
        return self.out(torch.stack(answers)), torch.cat(scores)

    def _split(self, joined: Tensor) -> Tensor:
        return joined.view(*joined.shape[:-1], self._heads, -1)


class FeedForward(nn.Module):
    """Gated GELU (GEGLU; Shazeer 2020, eq. 6), four times as wide inside.

    Args:
        width: Size d.
        dropout: Dropout probability.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.widen = nn.Linear(width, 2 * EXPANSION * width)
        self.narrow = nn.Linear(EXPANSION * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """The same shape, [..., d]."""
        content, gate = self.widen(hidden).chunk(2, dim=-1)
        narrowed: Tensor = self.dropout(self.narrow(content * nn.functional.gelu(gate)))
        return narrowed


def pool_groups(
    morphology: Tensor, scores: Tensor, hidden: Tensor, sizes: tuple[int, ...]
) -> Tensor:
    """Each bag pooled once for every group of genes, [n, G, d].

    Args:
        morphology: Attention scores that all groups share, [P].
        scores: Each group's own scores, [P, G]; the highest fifth of a bag counts.
        hidden: Patches, [P, d].
        sizes: Patches in each of the n bags.
    """
    lengths = list(sizes)
    bags = (torch.split(each, lengths) for each in (morphology, scores, hidden))
    pooled = []
    for shared, own, bag in zip(*bags, strict=True):
        lowest = own.topk(max(1, int(SHARE * len(own))), dim=0).values[-1]
        chosen = own.float().masked_fill(own < lowest, -torch.inf)
        weights = torch.softmax(shared.float(), dim=0)[:, None] + torch.softmax(chosen, dim=0)
        pooled.append((weights / 2).T.to(bag.dtype) @ bag)
    return torch.stack(pooled)


def _heads(width: int) -> int:
    return math.gcd(HEADS, width)
