"""Bags pooled by several networks in one pass over blocks of their patches.

Nearly all the work of a training step is here: the first layers of the networks that read
slides, and the gates of their attention, for every patch. Done layer by layer, every
intermediate result travels to memory and back, and the patches are first copied in a wider
type. Here each block of patches is widened and then taken through everything while it lies in
the cache:

    h = drop(relu(W x + b))                 hidden
    (t, r) = y = tanh(G h + g)              the two halves of the gate
    s = w . (t * (1 + r)) + c               score
    pooled = sum over the bag of softmax(s) h

Of all this, h, y and s are kept for the backward pass, which goes through the same blocks.
Gradients flow to the weights alone, not to the patches. The softmax is a running one, as in
Dao et al., "FlashAttention", NeurIPS 2022, section 3.1; without gradients nothing is kept, and
memory does not grow with the bags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from histodistill.features import FeatureScaler
from histodistill.model.attention import GatedAttention
from histodistill.model.batch import Bags
from histodistill.model.patch_blocks import Block, PatchBlocks


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


@dataclass(frozen=True)
class Tower:
    """What a network does to every patch before it pools them.

    Attributes:
        weights: Its weights.
        dropout: Probability that a hidden value is dropped; 0 outside training.
    """

    weights: Weights
    dropout: float

    @classmethod
    def of(cls, patches: nn.Sequential, attention: GatedAttention) -> Tower:
        """The tower of a network.

        Args:
            patches: Linear, ReLU and perhaps Dropout.
            attention: Scores what comes out of them.
        """
        layer, gate, score = patches[0], attention.gate, attention.score
        assert isinstance(layer, nn.Linear)
        rates = [module.p for module in patches if isinstance(module, nn.Dropout)]
        weights = Weights(
            layer.weight, layer.bias, gate.weight, gate.bias, score.weight[0], score.bias
        )
        return cls(weights, rates[0] if rates and patches.training else 0.0)


def pool_patches(bags: Bags, towers: Sequence[Tower]) -> tuple[Tensor, ...]:
    """Attention-pool every bag by each of the towers.

    Under autocast the products are taken in its type; the softmax and all sums over patches
    stay in the type of the weights. Dropout draws from torch's global generator.

    Args:
        bags: Bags, each with at least one patch.
        towers: Towers of one type, on the device of the bags.

    Returns:
        For each tower the pooled bags, [n, d], in the type of the weights.

    Raises:
        ValueError: The patches require a gradient, which this pass does not give.
    """
    if bags.stored.requires_grad:
        raise ValueError("pool_patches gives no gradient to the patches; pool_bags does")
    device = bags.stored.device.type
    dtype = towers[0].weights.layer.dtype
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    with torch.autocast(device, enabled=False):
        weights = [value for tower in towers for value in _folded(tower, bags.scaler)]
        trained = torch.is_grad_enabled() and any(value.requires_grad for value in weights)
        dropouts = [tower.dropout for tower in towers]
        pooled: tuple[Tensor, ...] = _PatchPooling.apply(  # type: ignore[no-untyped-call]
            PatchBlocks(bags, dtype), trained, dropouts, *weights
        )
    return pooled


def _folded(tower: Tower, scaler: FeatureScaler | None) -> Weights:
    """The tower's weights with all constant factors moved into them.

    Those are the scale of the features (their mean cannot move: a feature far from 0 would
    lose its digits), dropout's 1 / (1 - p), which commutes with the ReLU, and the halves in
    ``sigmoid(z) = (1 + tanh(z / 2)) / 2``, which lets one tanh serve both halves of the gate.
    """
    weights, kept = tower.weights, 1 - tower.dropout
    layer = weights.layer if scaler is None else weights.layer / scaler.scale.to(weights.layer)
    halves = torch.ones_like(weights.gate_bias)
    halves[len(halves) // 2 :] = 0.5
    return Weights(
        layer / kept,
        weights.layer_bias / kept,
        weights.gate * halves[:, None],
        weights.gate_bias * halves,
        weights.score / 2,
        weights.score_bias,
    )


class _PatchPooling(torch.autograd.Function):
    """Pooled bags of all towers, and the gradients of the towers' weights."""

    @staticmethod
    def forward(
        ctx: Any, blocks: PatchBlocks, trained: bool, dropouts: Sequence[float], *weights: Tensor
    ) -> tuple[Tensor, ...]:
        passes = [
            _TowerPass(own, dropout, blocks, trained)
            for own, dropout in zip(_by_tower(weights), dropouts, strict=True)
        ]
        for block in blocks:
            for each in passes:
                each.forward(block)
        pooled = tuple(each.pooled() for each in passes)
        if trained:
            ctx.blocks, ctx.passes = blocks, passes
            ctx.save_for_backward(*weights, *pooled)
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        n_towers = len(gradients)
        weights, pooled = ctx.saved_tensors[:-n_towers], ctx.saved_tensors[-n_towers:]
        sums = [
            _TowerGradients(*own, ctx.blocks)
            for own in zip(_by_tower(weights), ctx.passes, pooled, gradients, strict=True)
        ]
        for block in ctx.blocks:
            for each in sums:
                each.add(block)
        return (None, None, None, *(value for each in sums for value in each.totals))


def _by_tower(weights: Sequence[Tensor]) -> list[Weights]:
    each = len(Weights._fields)
    return [Weights(*weights[first : first + each]) for first in range(0, len(weights), each)]


class _TowerPass:
    """One tower on its way through the blocks.

    It keeps hidden patches, gates and scores of all blocks where gradients are wanted, else of
    one block at a time.
    """

    def __init__(self, weights: Weights, dropout: float, blocks: PatchBlocks, keeps: bool) -> None:
        #: In the type of the products.
        self.weights = Weights(*(value.to(blocks.dtype) for value in weights))
        self._dropout = dropout
        self._keeps = keeps
        rows = blocks.n_patches if keeps else blocks.n_rows
        width, exact = len(weights.layer), weights.layer.dtype
        self._hidden = blocks.empty(rows, width)
        self._gates = blocks.empty(rows, len(weights.gate))
        self._scores = blocks.empty(rows, dtype=exact)
        # Of each bag so far: its largest score, and the sums of exp(score - largest) and of
        # exp(score - largest) * hidden.
        self._largest = blocks.empty(blocks.n_bags, dtype=exact).fill_(-torch.inf)
        self._sum = torch.zeros_like(self._largest)
        self._weighted = weights.layer.new_zeros(blocks.n_bags, width)

    def kept(self, block: Block) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden patches [B, d], gates [B, 2a] and scores [B] of a block."""
        rows = block.rows if self._keeps else slice(len(block.patches))
        return self._hidden[rows], self._gates[rows], self._scores[rows]

    def forward(self, block: Block) -> None:
        """Add a block's patches to their bags."""
        weights = self.weights
        hidden, gates, scores = self.kept(block)
        torch.addmm(weights.layer_bias, block.patches, weights.layer.T, out=hidden).relu_()
        if self._dropout:
            hidden.mul_(keep_mask(hidden, self._dropout))
        torch.addmm(weights.gate_bias, hidden, weights.gate.T, out=gates).tanh_()
        scores.copy_(torch.addmv(weights.score_bias, _gated(gates), weights.score))
        self._add_to_bags(block, hidden, scores)

    def _add_to_bags(self, block: Block, hidden: Tensor, scores: Tensor) -> None:
        own = torch.where(block.member, scores, -torch.inf)
        before = self._largest[block.bags]
        largest = torch.maximum(before, own.amax(dim=1))
        shrink = torch.exp(before - largest)
        weights = torch.exp(own - largest[:, None])
        self._largest[block.bags] = largest
        self._sum[block.bags].mul_(shrink).add_(weights.sum(dim=1))
        weighted = weights.to(hidden.dtype) @ hidden
        self._weighted[block.bags].mul_(shrink[:, None]).add_(weighted)

    def pooled(self) -> Tensor:
        """Attention-weighted mean of each bag, [n, d]."""
        return self._weighted / self._sum[:, None]

    def attention(self, block: Block) -> Tensor:
        """Softmax weights of a block's patches in each of its bags, [S, B]."""
        _, _, scores = self.kept(block)
        normaliser = (self._largest + self._sum.log())[block.bags]
        return torch.exp(scores - normaliser[:, None]).masked_fill_(~block.member, 0)


class _TowerGradients:
    """The gradients of a tower's weights, summed block by block.

    Args:
        weights: The tower's weights.
        forward: Its pass forward, with all that it kept.
        pooled: What it made of the bags, [n, d].
        gradient: Gradient of the loss with respect to that, [n, d].
        blocks: The blocks.
    """

    def __init__(
        self,
        weights: Weights,
        forward: _TowerPass,
        pooled: Tensor,
        gradient: Tensor,
        blocks: PatchBlocks,
    ) -> None:
        self._forward = forward
        self._gradient = gradient.to(blocks.dtype)
        # What the softmax subtracts: the attention-weighted mean of gradient . hidden.
        self._mean = (pooled * gradient).sum(dim=1)
        self.totals = Weights(*(torch.zeros_like(value) for value in weights))
        self._d_hidden = blocks.empty(blocks.n_rows, pooled.shape[1])
        self._d_gates = blocks.empty(blocks.n_rows, len(weights.gate))

    def add(self, block: Block) -> None:
        """Walk back through a block, from the pooled bags to the first layer."""
        hidden, gates, _ = self._forward.kept(block)
        attention = self._forward.attention(block)
        towards = self._gradient[block.bags]
        rises = towards @ hidden.T - self._mean[block.bags, None]
        d_scores = (attention * rises).sum(dim=0).to(hidden.dtype)
        d_gates = self._through_gate(gates, d_scores)

        d_hidden = self._d_hidden[: len(hidden)]
        torch.mm(attention.T.to(hidden.dtype), towards, out=d_hidden)
        d_hidden.addmm_(d_gates, self._forward.weights.gate)
        # Through ReLU and dropout: what either of them zeroed has no gradient. One pass in
        # place; a mask and a product would be several.
        torch.ops.aten.threshold_backward.grad_input(d_hidden, hidden, 0, grad_input=d_hidden)

        totals = self.totals
        _add_product(totals.layer, d_hidden.T, block.patches)
        _add_rows(totals.layer_bias, d_hidden)
        _add_product(totals.gate, d_gates.T, hidden)
        _add_rows(totals.gate_bias, d_gates)
        totals.score.add_(_gated(gates).T @ d_scores)
        totals.score_bias.add_(d_scores.sum())

    def _through_gate(self, gates: Tensor, d_scores: Tensor) -> Tensor:
        """Gradient of the gate before its tanh, [B, 2a]."""
        d_gates = self._d_gates[: len(gates)]
        content, gate = gates.chunk(2, dim=1)
        d_content, d_gate = d_gates.chunk(2, dim=1)
        d_gated = torch.outer(d_scores, self._forward.weights.score)
        torch.addcmul(d_gated, d_gated, gate, out=d_content)
        torch.mul(d_gated, content, out=d_gate)
        torch.ops.aten.tanh_backward.grad_input(d_gates, gates, grad_input=d_gates)
        return d_gates


def _gated(gates: Tensor) -> Tensor:
    """``t * (1 + r)`` of the two halves (t, r), [B, a]."""
    content, gate = gates.chunk(2, dim=1)
    return torch.addcmul(content, content, gate)


def keep_mask(hidden: Tensor, dropout: float, generator: torch.Generator | None = None) -> Tensor:
    """Ones, and zeros with the given probability, in the shape and type of a block's values.

    Sixteen random bits decide about a value, four values a draw: drawing is what dropout costs.

    Args:
        hidden: Values of a block, [B, d].
        dropout: Probability of a zero.
        generator: Random stream; None for torch's global one.
    """
    draws = torch.empty(-(-hidden.numel() // 4), dtype=torch.int64, device=hidden.device)
    draws.random_(-(2**63), None, generator=generator)
    bits = draws.view(torch.int16)[: hidden.numel()].view_as(hidden)
    highest_dropped = round(dropout * 2**16) - 2**15 - 1
    keep = bits.clamp_(highest_dropped, highest_dropped + 1).sub_(highest_dropped)
    return keep.to(hidden.dtype)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add ``left @ right``, of a type that may be narrower than the total's."""
    if total.dtype is left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)


def _add_rows(total: Tensor, rows: Tensor) -> None:
    """Add the sum of all rows; as a product it is several times faster than ``sum(dim=0)``."""
    total.add_(rows.T @ rows.new_ones(len(rows)))
