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
Gradients flow to the weights alone; where the patches need one as well, all is done plainly. The
softmax is a running one, as in Dao et al., "FlashAttention", NeurIPS 2022, section 3.1; without
gradients nothing is kept, and memory does not grow with the bags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from histodistill.features import FeatureScaler
from histodistill.model.batch import Bags
from histodistill.model.layers.attention import GatedAttention, pool_bags
from histodistill.model.pooling.blocks import Block, PatchBlocks
from histodistill.model.pooling.kernels import steps_for
from histodistill.model.pooling.steps import Bits, Pull, Weights


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
    """
    if any(part.requires_grad for part in bags.parts):
        return tuple(_pooled_plainly(bags, tower) for tower in towers)
    device = bags.parts[0].device
    exact = dtype = towers[0].weights.layer.dtype
    if torch.is_autocast_enabled(device.type):
        dtype = torch.get_autocast_dtype(device.type)
    blocks = PatchBlocks(bags, dtype, steps_for(exact, dtype, device))
    with torch.autocast(device.type, enabled=False):
        weights = [value for tower in towers for value in _folded(tower, bags.scaler)]
        trained = torch.is_grad_enabled() and any(value.requires_grad for value in weights)
        dropouts = [tower.dropout for tower in towers]
        pooled: tuple[Tensor, ...] = _PatchPooling.apply(  # type: ignore[no-untyped-call]
            blocks, trained, dropouts, *weights
        )
    return pooled


def attend_patches(bags: Bags, tower: Tower) -> tuple[Tensor, Tensor]:
    """Scores [P] and hidden patches [P, d] of all patches, as they are before the pooling.

    Without gradients they are made block by block, as :func:`pool_patches` makes them.
    """
    if torch.is_grad_enabled():
        return _attended_plainly(bags, tower)
    dtype, device = tower.weights.layer.dtype, bags.parts[0].device
    blocks = PatchBlocks(bags, dtype, steps_for(dtype, dtype, device))
    weights = blocks.steps.prepared(_folded(tower, bags.scaler), dtype)
    scores = blocks.empty(blocks.n_patches)
    hidden = blocks.empty(blocks.n_patches, len(weights.layer))
    gates = blocks.empty(blocks.n_rows, len(weights.gate))
    for block in blocks:
        own = hidden[block.rows]
        blocks.steps.hide(block.patches, weights, None, out=own)
        blocks.steps.score(own, weights, gates[: len(own)], scores[block.rows])
    return scores, hidden


def _pooled_plainly(bags: Bags, tower: Tower) -> Tensor:
    """The same layer by layer, with a gradient to the patches, as explanations need it."""
    return pool_bags(*_attended_plainly(bags, tower), bags.sizes)


def _attended_plainly(bags: Bags, tower: Tower) -> tuple[Tensor, Tensor]:
    weights = tower.weights
    linear, patches = functional.linear, bags.patches
    hidden = functional.relu(linear(patches, weights.layer, weights.layer_bias))
    hidden = functional.dropout(hidden, tower.dropout)
    content, gate = linear(hidden, weights.gate, weights.gate_bias).chunk(2, dim=-1)
    scores = (torch.tanh(content) * torch.sigmoid(gate)) @ weights.score + weights.score_bias
    return scores, hidden


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
        layers = [each.totals.layer for each in sums]
        for block in ctx.blocks:
            d_layers = [each.add(block) for each in sums]
            ctx.blocks.steps.add_products(layers, d_layers, block.patches)
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
        self.steps = blocks.steps
        #: As the steps take them.
        self.weights = self.steps.prepared(weights, blocks.dtype)
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
        hidden, gates, scores = self.kept(block)
        bits = Bits.draw(hidden, self._dropout) if self._dropout else None
        self.steps.hide(block.patches, self.weights, bits, out=hidden)
        self.steps.score(hidden, self.weights, gates, scores)
        self._add_to_bags(block, hidden, scores)

    def _add_to_bags(self, block: Block, hidden: Tensor, scores: Tensor) -> None:
        before, bag = self._largest[block.bags], block.bag
        largest = before.scatter_reduce(0, bag, scores, "amax")
        shrink = torch.exp(before - largest)
        weights = torch.exp(scores - largest[bag])
        self._largest[block.bags] = largest
        sums = self._sum[block.bags].mul_(shrink)
        weighted = self._weighted[block.bags].mul_(shrink[:, None])
        self.steps.pool(hidden, weights, bag, weighted, sums)

    def pooled(self) -> Tensor:
        """Attention-weighted mean of each bag, [n, d]."""
        return self._weighted / self._sum[:, None]

    def attention(self, bag_of_patch: Tensor) -> Tensor:
        """Softmax weight of each patch in its bag, [P], where scores are kept."""
        normaliser = self._largest + self._sum.log()
        return torch.exp(self._scores - normaliser[bag_of_patch])


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
        self._attention = forward.attention(blocks.bag_of_patch)
        # As the products take it, so that the gradients of a bag's scores add to zero.
        self._gradient = gradient.to(blocks.dtype).to(pooled.dtype).contiguous()
        self._mean = (pooled * self._gradient).sum(dim=1)
        self.totals = Weights(*(torch.zeros_like(value) for value in weights))
        self._d_hidden = blocks.empty(blocks.n_rows, pooled.shape[1])
        self._d_gates = blocks.empty(blocks.n_rows, len(weights.gate))

    def add(self, block: Block) -> Tensor:
        """Walk back through a block, from the pooled bags to the first layer's product.

        Returns:
            The gradient of that product, [B, d]; its share in the total is still to be added.
        """
        hidden, gates, _ = self._forward.kept(block)
        weights, steps, totals = self._forward.weights, self._forward.steps, self.totals
        pull = Pull(
            self._attention[block.rows],
            self._gradient[block.bags],
            self._mean[block.bags],
            block.bag,
        )
        d_scores = steps.through_pool(hidden, pull)
        totals.score_bias.add_(d_scores.sum())

        d_gates = self._d_gates[: len(gates)]
        steps.through_gate(gates, weights, d_scores, totals, out=d_gates)
        steps.add_products([totals.gate], [d_gates], hidden)

        d_hidden = self._d_hidden[: len(hidden)]
        steps.through_hidden(hidden, weights, d_gates, pull, totals, out=d_hidden)
        return d_hidden
