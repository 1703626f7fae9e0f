"""The networks of several models, trained in one pass: one product for all of their weights.

Models of one architecture differ in their weights and in their batches alone. ``torch.vmap``
runs the code of one of them with a dimension more, so that a step of many small models calls as
many operations as a step of one. Each model gets the answers, the dropout and the gradients that
it would have got alone, but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import linear, relu

from histodistill.model.batch import Genes, Output
from histodistill.model.heads import ONE_TARGET, Heads
from histodistill.model.layers.dropout import Streams, drawing_from, drawn_alike
from histodistill.model.losses.objectives import objective
from histodistill.model.networks import Networks
from histodistill.model.pooling.blocks import block_rows
from histodistill.model.pooling.steps import Bits
from histodistill.model.settings import NetworkName, NetworkSettings, ObjectiveSettings
from histodistill.model.stacking.batch import (
    StackedBags,
    StackedBatch,
    StackedGenes,
    StackedInputs,
)
from histodistill.model.students.abmil import ABMIL
from histodistill.model.students.linear import LinearStudent
from histodistill.model.teachers.multimodal.mkd import MKDTeacher

_TOGETHER: tuple[frozenset[NetworkName], ...] = (
    frozenset({"student"}),
    frozenset({"genomic"}),
    frozenset({"multimodal"}),
    frozenset({"student", "genomic"}),
    frozenset({"student", "multimodal", "genomic"}),
)

Weights = dict[str, Tensor]


def can_be_stacked(network: NetworkSettings, objective: ObjectiveSettings) -> bool:
    """Whether models of these settings can be trained in one pass."""
    names = frozenset(network.networks)
    declared = {name: network.declared(name) for name in names}
    return (
        names in _TOGETHER
        and all(each.stackable for each in declared.values())
        # Beside a student that pools by itself the multimodal teacher draws its dropout in
        # another order.
        and (not {"student", "multimodal"} <= names or declared["student"].pooled_together)
        and not objective.reads_genes
        and not any(objective.distillation.values())
    )


class StackedNetworks:
    """Computes the loss of M models at once.

    Args:
        networks: The networks of one of the models; their code is run, not their weights.
        settings: Weights of the loss.
        generators: Random stream of each model.
        heads: Which logits answer which target.
    """

    def __init__(
        self,
        networks: Networks,
        settings: ObjectiveSettings,
        generators: Sequence[torch.Generator],
        heads: Heads = ONE_TARGET,
    ) -> None:
        self._streams = Streams(generators)
        self._model = _OneOfMany(networks, settings, heads, self._streams)

    def terms(self, weights: Weights, batch: StackedBatch) -> dict[str, Tensor]:
        """Every term of the loss of each model, [M], weighted.

        Args:
            weights: The weights of all models by their names in the networks, [M, ...].
            batch: Their batches.
        """
        self._model.batch = batch
        named = {f"networks.{name}": value for name, value in weights.items()}
        # The first dimension of everything that there is.
        dimensions: tuple[Any, ...] = tuple(None if part is None else 0 for part in batch.inputs)
        one_model = partial(functional_call, self._model)
        many = torch.vmap(one_model, in_dims=(0, (StackedInputs(*dimensions),)))
        with drawing_from(self._streams):
            terms: dict[str, Tensor] = many(named, (batch.inputs,))
        return terms


class _OneOfMany(nn.Module):
    """What one model of a stack does; run inside ``torch.vmap``.

    Patients come in padded rows, and every network answers all b rows of the batch, with the
    weight 0 for whom it cannot answer.
    """

    def __init__(
        self, networks: Networks, settings: ObjectiveSettings, heads: Heads, streams: Streams
    ) -> None:
        super().__init__()
        self.networks = networks
        self.batch: StackedBatch | None = None
        self._settings = settings
        self._heads = heads
        self._streams = streams

    def forward(self, inputs: StackedInputs) -> dict[str, Tensor]:
        outputs = self._outputs(inputs)
        # As for one model: covariances and inner products lose too much in bfloat16.
        with torch.autocast(inputs.labels.device.type, enabled=False):
            return objective(outputs, inputs.labels, self._settings, self._heads)

    def _outputs(self, inputs: StackedInputs) -> dict[NetworkName, Output]:
        """In the order in which a model alone draws its dropout."""
        bags, genes, pairs = inputs.bags, inputs.genes, inputs.pairs
        networks, size = self.networks, len(inputs.labels)
        outputs: dict[NetworkName, Output] = {}
        path = None
        if networks.multimodal is not None and bags is not None and pairs is not None:
            path = self._pooled(cast("MKDTeacher", networks.multimodal), bags)
        if networks.student is not None and bags is not None:
            student = cast("ABMIL | LinearStudent", networks.student)
            pooled = self._pooled(student, bags)
            self._streams.rows = self._counts.n_bags
            outputs["student"] = _in_batch(student.answer(pooled, bags.rows), size)
        if path is not None and genes is not None and pairs is not None:
            teacher = cast("MKDTeacher", networks.multimodal)
            self._streams.rows = self._with_pairs(self._counts.n_genes)
            omic = teacher.pooled_tokens(_of_one(genes))
            self._streams.rows = self._counts.n_pairs
            fused = teacher.fused(path[pairs.bags], omic[pairs.genes], pairs.rows)
            outputs["multimodal"] = _in_batch(fused, size)
        if networks.genomic is not None and genes is not None:
            self._streams.rows = self._counts.n_genes
            outputs["genomic"] = _in_batch(networks.genomic(_of_one(genes)), size)
        return outputs

    @property
    def _counts(self) -> StackedBatch:
        assert self.batch is not None
        return self.batch

    def _with_pairs(self, rows: Sequence[int]) -> list[int]:
        """Rows of each model; none where nobody has bags and genes, and no teacher is asked."""
        paired = self._counts.n_pairs
        return [own if pairs else 0 for own, pairs in zip(rows, paired, strict=True)]

    def _pooled(self, network: ABMIL | LinearStudent | MKDTeacher, bags: StackedBags) -> Tensor:
        """Pooled bags of one network, [n, d]."""
        if isinstance(network, LinearStudent):
            member = bags.member.to(bags.patches.dtype)
            return (member @ bags.patches) / member.sum(dim=1, keepdim=True)
        tower = network.tower()
        weights = tower.weights
        hidden = relu(linear(bags.patches, weights.layer, weights.layer_bias))
        hidden = self._dropped(hidden, tower.dropout)
        content, gate = linear(hidden, weights.gate, weights.gate_bias).chunk(2, dim=1)
        gated = torch.tanh(content) * torch.sigmoid(gate)
        scores = _precise(gated @ weights.score + weights.score_bias)
        attention = torch.softmax(torch.where(bags.member, scores, -torch.inf), dim=1)
        return attention.to(hidden.dtype) @ hidden

    def _dropped(self, hidden: Tensor, dropout: float) -> Tensor:
        """Hidden patches with the dropout that the teacher of a model alone would draw."""
        if not dropout:
            return hidden
        self._streams.rows = self._with_pairs(self._counts.n_patches)

        def draw(own: Tensor, generator: torch.Generator | None) -> None:
            for block in torch.split(own, block_rows(own.device, own.dtype)):
                bits = Bits.draw(block, dropout, generator)
                block.copy_(bits.drawn >= bits.lowest_kept)

        return hidden * drawn_alike(hidden, draw) / (1 - dropout)


def _precise(values: Tensor) -> Tensor:
    """In float32, where they are in a smaller type."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _of_one(genes: StackedGenes) -> Genes:
    return Genes(dict(genes.tokens), dict(genes.present), genes.rows)


def _in_batch(output: Output, size: int) -> Output:
    """What a network says of some rows, laid out in the order of the batch.

    Args:
        output: Of n rows; ``rows`` is b where a row is padding.
        size: Number b of patients in the batch.
    """

    def laid_out(values: Tensor) -> Tensor:
        empty = values.new_zeros(size + 1, *values.shape[1:])
        return empty.index_add(0, output.rows, values)[:size]

    known = laid_out(torch.ones_like(output.logits[:, 0], dtype=torch.float32))
    return Output(
        laid_out(_precise(output.features)),
        laid_out(_precise(output.logits)),
        torch.arange(size, device=known.device),
        output.auxiliary,
        weight=known,
    )
