"""Self-attention in linear time by landmarks (Xiong et al., "Nyströmformer", AAAI 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, scaled_dot_product_attention

HEADS = 8
PSEUDO_INVERSE_STEPS = 6
SKIP_KERNEL = 33
# Up to so many tokens for each landmark exact attention costs less than the pseudo-inverse.
EXACT_TOKENS = 8


class NystromAttention(nn.Module):
    """Multi-head self-attention of one sequence, with a depthwise convolution of the values.

    A sequence of up to eight tokens for each landmark is attended exactly, since that costs less.

    Args:
        width: Size d of a token.
        landmarks: Number m of landmarks.
        dropout: Dropout probability of the output.
    """

    def __init__(self, width: int, landmarks: int, dropout: float) -> None:
        super().__init__()
        inner = HEADS * -(-width // HEADS)
        self.landmarks = landmarks
        self.projections = nn.Linear(width, 3 * inner, bias=False)
        self.skip = nn.Conv2d(
            HEADS,
            HEADS,
            (SKIP_KERNEL, 1),
            padding=(SKIP_KERNEL // 2, 0),
            groups=HEADS,
            bias=False,
        )
        self.output = nn.Sequential(nn.Linear(inner, width), nn.Dropout(dropout))

    def forward(self, sequence: Tensor) -> Tensor:
        """From tokens [S, d] to tokens [S, d]."""
        heads = self.projections(sequence).view(len(sequence), 3, HEADS, -1).permute(1, 2, 0, 3)
        query, key, value = heads
        attended = nystrom(query, key, value, self.landmarks) + self.skip(value)
        tokens: Tensor = self.output(attended.transpose(0, 1).flatten(1))
        return tokens


def nystrom(query: Tensor, key: Tensor, value: Tensor, landmarks: int) -> Tensor:
    """Softmax attention, in long sequences through the means of ``landmarks`` segments (eq. 13).

    The segments cover the sequence without padding; where its length is no multiple of their
    number, neighbours share a token.

    Args:
        query: Queries, [heads, S, w].
        key: Keys, [heads, S, w].
        value: Values, [heads, S, w].
        landmarks: Number m of segments.

    Returns:
        Attended values, [heads, S, w].
    """
    if query.shape[1] <= EXACT_TOKENS * landmarks:
        # The fused kernel wants a batch.
        return scaled_dot_product_attention(query[None], key[None], value[None])[0]
    query = query / query.shape[2] ** 0.5
    query_means = adaptive_avg_pool1d(query.transpose(1, 2), landmarks).transpose(1, 2)
    key_means = adaptive_avg_pool1d(key.transpose(1, 2), landmarks)
    to_landmarks = torch.softmax(query @ key_means, dim=-1)
    among = torch.softmax(query_means @ key_means, dim=-1)
    from_landmarks = torch.softmax(query_means @ key.transpose(1, 2), dim=-1)
    return to_landmarks @ (pseudo_inverse(among) @ (from_landmarks @ value))


def pseudo_inverse(matrix: Tensor, steps: int = PSEUDO_INVERSE_STEPS) -> Tensor:
    """Moore-Penrose inverses of matrices [..., m, m] by iteration (section 3.3 there).

    Each matrix starts from its own norms; norms over all of them would let heads, and bags in
    one batch, change each other's answers.
    """
    # The iteration needs more digits than bfloat16 has.
    with torch.autocast(matrix.device.type, enabled=False):
        matrix = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
        columns = matrix.abs().sum(dim=-2, keepdim=True).amax(dim=-1, keepdim=True)
        rows = matrix.abs().sum(dim=-1, keepdim=True).amax(dim=-2, keepdim=True)
        inverse = matrix.transpose(-2, -1) / (columns * rows)
        identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
        for _ in range(steps):
            product = matrix @ inverse
            inner = 15 * identity - product @ (7 * identity - product)
            inverse = inverse @ (13 * identity - product @ inner) / 4
        return inverse
