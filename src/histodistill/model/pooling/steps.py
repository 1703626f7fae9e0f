"""What happens to a block of patches, there and back, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from histodistill.model.pooling.random_bits import random_bits


class Weights(NamedTuple):
    """The weights of a tower.

    Attributes:
        layer: Of the first layer, [d, F].
        layer_bias: [d].
        gate: Of both halves of the gate, [2a, d].
        gate_bias: [2a].
        score: [a].
        score_bias: [1].
    """

    layer: Tensor
    layer_bias: Tensor
    gate: Tensor
    gate_bias: Tensor
    score: Tensor
    score_bias: Tensor


class Pull(NamedTuple):
    """What pulls at hidden patches through the bags that they were pooled to.

    Attributes:
        attention: Softmax weight of each patch, [B].
        towards: Gradient of each bag, [S, d], in the type of the weights.
        mean: Attention-weighted mean of towards . hidden in each bag, [S], which a softmax
            subtracts.
        bag: Which of the bags each patch belongs to, [B] int64.
    """

    attention: Tensor
    towards: Tensor
    mean: Tensor
    bag: Tensor


class Bits(NamedTuple):
    """Random bits that decide what dropout keeps.

    Attributes:
        drawn: Uniform over all values of the type, [B, d] int8 or int16.
        lowest_kept: What is lower than this is dropped.
    """

    drawn: Tensor
    lowest_kept: int

    @classmethod
    def draw(cls, like: Tensor, dropout: float, generator: torch.Generator | None = None) -> Bits:
        """Bits for a tensor [B, d], from a generator, or from torch's global one.

        Drawing costs most of dropout, so a draw of 64 bits serves many values: eight bits decide
        where they can express the probability exactly, as they do that of 1/4, else sixteen.
        """
        dtype = torch.int8 if (dropout * 2**8).is_integer() else torch.int16
        values = 2 ** (8 * dtype.itemsize)
        draws = random_bits(-(-like.numel() * dtype.itemsize // 8), like.device, generator)
        drawn = draws.view(dtype)[: like.numel()].view_as(like)
        return cls(drawn, round(dropout * values) - values // 2)


class PatchSteps:
    """The steps of a block in plain PyTorch, for all types and devices."""

    def prepared(self, weights: Weights, dtype: torch.dtype) -> Weights:
        """The weights as the steps take them, for products of the given type."""
        return Weights(*(value.to(dtype) for value in weights))

    def widen(self, stored: Tensor, mean: Tensor | None, out: Tensor) -> None:
        """Patches [B, F] in the type of ``out``, less their mean [F]."""
        if mean is None and (not stored.is_cpu or stored.dtype is out.dtype):
            out.copy_(stored)
        elif mean is None or out.dtype.itemsize < mean.dtype.itemsize:
            # A narrow type could not hold what the subtraction leaves of a feature far from 0,
            # and on a CPU float16 becomes bfloat16 twice as fast by way of float32.
            exact = stored.float() if mean is None else stored.to(mean.dtype) - mean
            out.copy_(exact)
        else:
            out.copy_(stored).sub_(mean)

    def hide(self, patches: Tensor, weights: Weights, bits: Bits | None, out: Tensor) -> None:
        """``drop(relu(W x + b))`` of patches [B, F], to ``out`` [B, d]."""
        torch.addmm(weights.layer_bias, patches, weights.layer.T, out=out).relu_()
        if bits is not None:
            dropped = bits.lowest_kept - 1
            keep = bits.drawn.clamp_(dropped, bits.lowest_kept).sub_(dropped)
            out.mul_(keep.to(out.dtype))

    def score(self, hidden: Tensor, weights: Weights, gates: Tensor, scores: Tensor) -> None:
        """Gate and score hidden patches [B, d], to ``gates`` [B, 2a] and ``scores`` [B]."""
        torch.addmm(weights.gate_bias, hidden, weights.gate.T, out=gates)
        # In the wider type, where PyTorch's tanh is several times faster on a CPU.
        wide = gates.to(scores.dtype).tanh_()
        if wide is not gates:
            gates.copy_(wide)
        torch.mv(_gated(wide), weights.score.to(wide.dtype), out=scores)
        scores.add_(weights.score_bias)

    def pool(
        self, hidden: Tensor, weights: Tensor, bag: Tensor, totals: Tensor, sums: Tensor
    ) -> None:
        """Add weighted hidden patches, and the weights themselves, to their bags.

        Args:
            hidden: Hidden patches, [B, d].
            weights: Their weights, [B].
            bag: Which of the bags each belongs to, [B] int64.
            totals: The bags' weighted patches, [S, d], in the type of the weights.
            sums: The bags' weights, [S].
        """
        numbers = torch.arange(len(totals), device=bag.device)
        spread = weights * (bag == numbers[:, None])
        totals.add_(spread.to(hidden.dtype) @ hidden)
        sums.add_(spread.sum(dim=1))

    def through_pool(self, hidden: Tensor, pull: Pull) -> Tensor:
        """From the gradients of the bags to that of the scores, [B]."""
        rises = hidden @ pull.towards.T.to(hidden.dtype)
        own = rises.gather(1, pull.bag[:, None]).squeeze(1)
        return pull.attention * (own - pull.mean[pull.bag])

    def through_gate(
        self, gates: Tensor, weights: Weights, d_scores: Tensor, totals: Weights, out: Tensor
    ) -> None:
        """From the gradient of the scores [B] to that of the gate before its tanh [B, 2a].

        Adds to the totals of the score and of the gate's bias.
        """
        narrow = d_scores.to(gates.dtype)
        content, gate = gates.chunk(2, dim=1)
        d_content, d_gate = out.chunk(2, dim=1)
        d_gated = torch.outer(narrow, weights.score)
        torch.addcmul(d_gated, d_gated, gate, out=d_content)
        torch.mul(d_gated, content, out=d_gate)
        torch.ops.aten.tanh_backward.grad_input(out, gates, grad_input=out)
        totals.gate_bias.add_(out.sum(dim=0))
        totals.score.add_(narrow @ _gated(gates))

    def through_hidden(
        self,
        hidden: Tensor,
        weights: Weights,
        d_gates: Tensor,
        pull: Pull,
        totals: Weights,
        out: Tensor,
    ) -> None:
        """From the gradients of gate [B, 2a] and bags to that of the first product, [B, d].

        Adds to the total of the first layer's bias.
        """
        towards = pull.towards.to(out.dtype)
        torch.mul(towards[pull.bag], pull.attention.to(out.dtype)[:, None], out=out)
        out.addmm_(d_gates, weights.gate)
        # What ReLU or dropout zeroed has no gradient. One pass in place; a mask and a product
        # would be several.
        torch.ops.aten.threshold_backward.grad_input(out, hidden, 0, grad_input=out)
        totals.layer_bias.add_(out.sum(dim=0))

    def add_products(
        self, totals: Sequence[Tensor], lefts: Sequence[Tensor], right: Tensor
    ) -> None:
        """Add ``left^T right`` to each total [d, F], for lefts [B, d] and their right [B, F]."""
        for total, left in zip(totals, lefts, strict=True):
            if total.dtype is left.dtype:
                total.addmm_(left.T, right)
            else:
                total.add_(left.T @ right)


def _gated(gates: Tensor) -> Tensor:
    """``t * (1 + r)`` of the two halves (t, r), [B, a]."""
    content, gate = gates.chunk(2, dim=1)
    return torch.addcmul(content, content, gate)
