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
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from histodistill.features import FeatureScaler
from histodistill.model.attention import GatedAttention
from histodistill.model.batch import Bags
from histodistill.model.patch_blocks import Block, PatchBlocks


class Tower(NamedTuple):
    """What a network does to every patch before it pools them.

    Attributes:
        weight: Of the first layer, [d, F].
        bias: Of the first layer, [d].
        gate_weight: Of both halves of the gate, [2a, d].
        gate_bias: Of both halves of the gate, [2a].
        score_weight: [a].
        score_bias: [1].
        dropout: Probability that a hidden value is dropped; 0 outside training.
    """

    weight: Tensor
    bias: Tensor
    gate_weight: Tensor
    gate_bias: Tensor
    score_weight: Tensor
    score_bias: Tensor
    dropout: float = 0.0

    @classmethod
    def of(cls, layer: nn.Linear, attention: GatedAttention, dropout: float = 0.0) -> Tower:
        """The tower of ``hidden = dropout(relu(layer(x)))`` and ``attention(hidden)``."""
        gate, score = attention.gate, attention.score
        first = (layer.weight, layer.bias, gate.weight, gate.bias)
        return cls(*first, score.weight[0], score.bias, dropout)


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
    dtype = towers[0].weight.dtype
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    with torch.autocast(device, enabled=False):
        folded = [_folded(tower, bags.scaler) for tower in towers]
        weights = [value for tower in folded for value in tower[:-1]]
        trained = torch.is_grad_enabled() and any(value.requires_grad for value in weights)
        dropouts = [tower.dropout for tower in towers]
        pooled: tuple[Tensor, ...] = _PatchPooling.apply(  # type: ignore[no-untyped-call]
            PatchBlocks(bags, dtype), trained, dropouts, *weights
        )
    return pooled


def _folded(tower: Tower, scaler: FeatureScaler | None) -> Tower:
    """The tower with all constant factors moved into its weights.

    Those are the scale of the features (their mean cannot move: a feature far from 0 would
    lose its digits), dropout's 1 / (1 - p), which commutes with the ReLU, and the halves in
    ``sigmoid(z) = (1 + tanh(z / 2)) / 2``, which lets one tanh serve both halves of the gate.
    """
    weight = tower.weight if scaler is None else tower.weight / scaler.scale.to(tower.weight)
    kept = 1 - tower.dropout
    halves = torch.ones_like(tower.gate_bias)
    halves[len(halves) // 2 :] = 0.5
    return Tower(
        weight / kept,
        tower.bias / kept,
        tower.gate_weight * halves[:, None],
        tower.gate_bias * halves,
        tower.score_weight / 2,
        tower.score_bias,
        tower.dropout,
    )


class _PatchPooling(torch.autograd.Function):
    """Pooled bags of all towers, and the gradients of the towers' weights."""

    @staticmethod
    def forward(
        ctx: Any, blocks: PatchBlocks, trained: bool, dropouts: Sequence[float], *weights: Tensor
    ) -> tuple[Tensor, ...]:
        passes = [_TowerPass(tower, blocks, trained) for tower in _as_towers(weights, dropouts)]
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
        pooled = ctx.saved_tensors[-n_towers:]
        sums = [
            _TowerGradients(each, ctx.blocks, own, gradient)
            for each, own, gradient in zip(ctx.passes, pooled, gradients, strict=True)
        ]
        for block in ctx.blocks:
            for each in sums:
                each.add(block)
        return (None, None, None, *(value for each in sums for value in each.totals))


def _as_towers(weights: Sequence[Tensor], dropouts: Sequence[float]) -> list[Tower]:
    fields = len(Tower._fields) - 1
    return [
        Tower(*weights[fields * number : fields * (number + 1)], dropout)
        for number, dropout in enumerate(dropouts)
    ]


class _TowerPass:
    """One tower on its way through the blocks.

    It keeps hidden patches, gates and scores of all blocks where gradients are wanted, else of
    one block at a time.
    """

    def __init__(self, tower: Tower, blocks: PatchBlocks, keeps: bool) -> None:
        self.tower = tower
        self._keeps = keeps
        #: Weights in the type of the products.
        self.cast = Tower(*(value.to(blocks.dtype) for value in tower[:-1]), tower.dropout)
        rows = blocks.n_patches if keeps else blocks.n_rows
        exact = tower.weight.dtype
        self._hidden = blocks.empty(rows, len(tower.weight))
        self._gates = blocks.empty(rows, len(tower.gate_weight))
        self._scores = blocks.empty(rows, dtype=exact)
        # Of each bag so far: its largest score, and the sums of exp(score - largest) and of
        # exp(score - largest) * hidden.
        self._largest = blocks.empty(blocks.n_bags, dtype=exact).fill_(-torch.inf)
        self._sum = torch.zeros_like(self._largest)
        self._weighted = tower.weight.new_zeros(blocks.n_bags, len(tower.weight))

    def kept(self, block: Block) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden patches [B, d], gates [B, 2a] and scores [B] of a block."""
        rows = block.rows if self._keeps else slice(len(block.patches))
        return self._hidden[rows], self._gates[rows], self._scores[rows]

    def forward(self, block: Block) -> None:
        """Add a block's patches to their bags."""
        tower = self.cast
        hidden, gates, scores = self.kept(block)
        torch.addmm(tower.bias, block.patches, tower.weight.T, out=hidden).relu_()
        _drop_(hidden, tower.dropout)
        torch.addmm(tower.gate_bias, hidden, tower.gate_weight.T, out=gates).tanh_()
        scores.copy_(torch.addmv(tower.score_bias, _gated(gates), tower.score_weight))
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
        forward: The tower's pass, with all that it kept.
        blocks: The blocks.
        pooled: Pooled bags, [n, d].
        gradient: Gradient of the loss with respect to them, [n, d].
    """

    def __init__(
        self, forward: _TowerPass, blocks: PatchBlocks, pooled: Tensor, gradient: Tensor
    ) -> None:
        self._forward = forward
        self._gradient = gradient.to(blocks.dtype)
        # What the softmax subtracts: the attention-weighted mean of gradient . hidden.
        self._mean = (pooled * gradient).sum(dim=1)
        #: In the order of the tower's fields.
        self.totals = [torch.zeros_like(value) for value in forward.tower[:-1]]
        self._d_hidden = blocks.empty(blocks.n_rows, pooled.shape[1])
        self._d_gates = blocks.empty(blocks.n_rows, len(forward.tower.gate_weight))

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
        d_hidden.addmm_(d_gates, self._forward.cast.gate_weight)
        # Through ReLU and dropout: what either of them zeroed has no gradient. One pass in
        # place; a mask and a product would be several.
        torch.ops.aten.threshold_backward.grad_input(d_hidden, hidden, 0, grad_input=d_hidden)

        weight, bias, gate_weight, gate_bias, score_weight, score_bias = self.totals
        _add_product(weight, d_hidden.T, block.patches)
        bias.add_(d_hidden.sum(dim=0))
        _add_product(gate_weight, d_gates.T, hidden)
        gate_bias.add_(d_gates.sum(dim=0))
        score_weight.add_(_gated(gates).T @ d_scores)
        score_bias.add_(d_scores.sum())

    def _through_gate(self, gates: Tensor, d_scores: Tensor) -> Tensor:
        """Gradient of the gate before its tanh, [B, 2a]."""
        d_gates = self._d_gates[: len(gates)]
        content, gate = gates.chunk(2, dim=1)
        d_content, d_gate = d_gates.chunk(2, dim=1)
        d_gated = torch.outer(d_scores, self._forward.cast.score_weight)
        torch.addcmul(d_gated, d_gated, gate, out=d_content)
        torch.mul(d_gated, content, out=d_gate)
        torch.ops.aten.tanh_backward.grad_input(d_gates, gates, grad_input=d_gates)
        return d_gates


def _gated(gates: Tensor) -> Tensor:
    """``t * (1 + r)`` of the two halves (t, r), [B, a]."""
    content, gate = gates.chunk(2, dim=1)
    return torch.addcmul(content, content, gate)


def _drop_(hidden: Tensor, dropout: float) -> None:
    """Set each value to 0 with the given probability.

    Sixteen random bits decide about a value, four values a draw: drawing is what dropout costs.
    """
    if dropout == 0:
        return
    draws = torch.empty(-(-hidden.numel() // 4), dtype=torch.int64, device=hidden.device)
    draws.random_(-(2**63), None)
    bits = draws.view(torch.int16)[: hidden.numel()].view_as(hidden)
    highest_dropped = round(dropout * 2**16) - 2**15 - 1
    keep = bits.clamp_(highest_dropped, highest_dropped + 1).sub_(highest_dropped)
    hidden.mul_(keep.to(hidden.dtype))


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add ``left @ right``, of a type that may be narrower than the total's."""
    if total.dtype is left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)
