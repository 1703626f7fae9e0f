"""What a finished student's features tell of expression, where its training read genes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from histodistill.experiment.methods import MethodSettings
from histodistill.inference import student_features
from histodistill.model import Networks
from histodistill.model.pooling.parts import PooledParts
from histodistill.preparation import ExpressionProgrammes, PreparedPatients
from histodistill.preparation.learnt_expression import Featured, fit_learnt_expression
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.fold.reading import blocks_read, readable

_SAME = 1e-3


def learnt_expression(
    method: MethodSettings,
    networks: Networks,
    prepared: PreparedPatients,
    inputs: FoldData,
    device: torch.device,
) -> ExpressionProgrammes | None:
    """A map from hidden patches to programmes, measured on the validation patients.

    Returns:
        None where no term of the training reads genes, the student does not weight and add up
        hidden patches, or too few patients have slides and genes.
    """
    student = networks.student
    if not method.objective.reads_genes or student is None or method.network.programmes:
        return None
    blocks = blocks_read(method, inputs)

    def featured(patients: Sequence[str]) -> Featured:
        paired = inputs.paired(readable(prepared, patients), blocks)
        features = student_features(networks, prepared, paired.patients, device)
        return Featured(features, paired.genes, paired.groups)

    training, held_out = featured(inputs.fold.train), featured(inputs.fold.validation)
    if not len(training.features) or not _pools(networks, prepared, inputs, device):
        return None
    n_programmes = method.objective.reconstruction_components
    return fit_learnt_expression(training, held_out, inputs.gene_names(blocks), n_programmes)


@torch.no_grad()
def _pools(
    networks: Networks, prepared: PreparedPatients, inputs: FoldData, device: torch.device
) -> bool:
    """Whether the student's features are the weighted mean of its hidden patches."""
    patient = readable(prepared, inputs.fold.train)[0]
    student, bags = networks.student, prepared.batch([patient], device=device).bags
    assert student is not None
    assert bags is not None
    parts = student.parts(bags)  # type: ignore[operator]
    if not isinstance(parts, PooledParts) or parts.scores.shape[1] != 1:
        return False
    features, pooled = student(bags).features, parts.pooled()
    same = features.shape == pooled.shape and torch.allclose(features, pooled, atol=_SAME)
    return bool(same)
