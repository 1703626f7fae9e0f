"""A fold's patients as the networks of a method read them."""

from __future__ import annotations

from collections.abc import Sequence

from histodistill.computing.device import resolve_device
from histodistill.experiment.methods import MethodSettings
from histodistill.preparation import PreparedPatients, Transforms
from histodistill.preparation.patients import UNKNOWN
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.fold.lesson import lesson_of


def prepare(method: MethodSettings, inputs: FoldData) -> PreparedPatients:
    """The patients with the modalities that a method's training reads.

    Packed bags go to the GPU that trains, where they fit.
    """
    bags = inputs.data.bags if method.network.reads_slides else None
    if bags is not None:
        bags = bags.to(resolve_device(method.training.device))
    reads_genes = method.network.reads_genes or method.objective.reads_genes
    blocks = blocks_read(method, inputs) if reads_genes else ()
    transforms = _transforms(method, inputs, blocks)
    read = None
    if bags is not None and transforms.programmes is not None:
        read = inputs.programme_bags.of(bags, transforms.programmes)
    return PreparedPatients(
        bags,
        {name: inputs.scaled(name) for name in blocks},
        transforms,
        method.network.token_size,
        _labels(method, inputs),
        read,
    )


def _labels(
    method: MethodSettings, inputs: FoldData
) -> dict[str, int] | dict[str, tuple[int, ...]]:
    """Known labels by patient: of the fold's target, or a row of all that are learnt together."""
    targets = lesson_of(method, inputs).targets
    if not targets:
        return {str(patient): int(label) for patient, label in inputs.labels.items()}
    patients = inputs.data.patients
    rows = inputs.label_table(patients, targets).tolist()
    known = zip(patients, map(tuple, rows), strict=True)
    return {patient: row for patient, row in known if max(row) > UNKNOWN}


def transforms_of(method: MethodSettings, inputs: FoldData) -> Transforms:
    """The transforms that the trained networks need, those of the training's terms left out."""
    blocks = blocks_read(method, inputs) if method.network.reads_genes else ()
    return _transforms(method, inputs, blocks)


def _transforms(method: MethodSettings, inputs: FoldData, blocks: Sequence[str]) -> Transforms:
    """The fold's transforms, with the given blocks of genes."""
    scaler = inputs.transforms.scaler if method.network.reads_slides else None
    kept = {name: inputs.transforms.blocks[name] for name in blocks}
    power, n_programmes = method.network.gene_weighting, method.network.programmes
    targets = lesson_of(method, inputs).targets
    weights = inputs.gene_weights(blocks, power, targets) if power and blocks else {}
    if n_programmes is None or not method.network.reads_slides:
        return Transforms(scaler, kept, gene_weights=weights)
    programmes = inputs.programmes(
        n_programmes,
        blocks_read(method, inputs),
        targets,
        method.network.prototypes,
        proportions=method.network.proportions,
    )
    return Transforms(None, kept, programmes, weights)


def programmes_seconds(method: MethodSettings, inputs: FoldData) -> float:
    """What fitting the programmes of a prepared method took; 0 where it reads none."""
    n_programmes = method.network.programmes
    if n_programmes is None or not method.network.reads_slides:
        return 0.0
    targets = lesson_of(method, inputs).targets
    return inputs.programmes_seconds(
        n_programmes,
        blocks_read(method, inputs),
        targets,
        method.network.prototypes,
        proportions=method.network.proportions,
    )


def blocks_read(method: MethodSettings, inputs: FoldData) -> Sequence[str]:
    """The blocks of genes that the method names, or all."""
    return method.network.blocks or tuple(inputs.data.genomics)


def readable(prepared: PreparedPatients, patients: Sequence[str]) -> list[str]:
    """Patients who have something that the networks read."""
    return [p for p in patients if prepared.has_slides(p) or prepared.has_genes(p)]
