"""Probabilities of every network for every patient, without gradients."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from histodistill.model import NetworkName, Networks
from histodistill.preparation import PreparedPatients

# Patients are evaluated together up to this many patches, or of themselves: enough to fill the
# hardware, and small enough that memory does not depend on the size of the cohort.
_PATCH_BUDGET, _MOST_PATIENTS = 32_768, 512

Probabilities = dict[NetworkName, NDArray[np.float64]]


@torch.inference_mode()
def probabilities(
    networks: Networks,
    prepared: PreparedPatients,
    patients: Sequence[str],
    device: torch.device,
    *,
    dtype: torch.dtype = torch.float32,
    patches: int | None = None,
    generator: torch.Generator | None = None,
    on_answers: Callable[[int], None] | None = None,
    wanted: Collection[str] | None = None,
) -> Probabilities:
    """Class probabilities by each trained network.

    The networks are put in eval mode (no dropout) and left as they were.

    Args:
        networks: Trained networks, on ``device``.
        prepared: The patients' bags and genes.
        patients: Who is asked for; each with slides, genes or both.
        device: Where to compute.
        dtype: Type that patches are read in; bfloat16 also takes the products in it.
        patches: Answer from this many patches of each bag, drawn at random; None reads all.
        generator: Random stream of the draw.
        on_answers: Told from time to time how many of the patients have been asked for.
        wanted: Whose answers are needed; None for everybody's. They are computed beside the same
            others as everybody's would be, so that they are the same to the last bit.

    Returns:
        For each network, [n, C], of several targets those of each side by side; NaN where it
        cannot answer a patient, or need not.
    """
    answers: Probabilities = {
        name: np.full((len(patients), networks.n_classes), np.nan)
        for name in networks.settings.networks
    }
    was_training = networks.training
    networks.eval()
    for rows in chunks(prepared, patients, patches):
        if wanted is not None and not any(patients[row] in wanted for row in rows):
            continue
        batch = prepared.batch(
            [patients[row] for row in rows],
            device=device,
            dtype=dtype,
            patches=patches,
            generator=generator,
        )
        with torch.autocast(device.type, dtype, enabled=dtype is torch.bfloat16):
            outputs = networks(batch)
        for name, output in outputs.items():
            softmax = networks.class_probabilities(output.logits.double()).cpu().numpy()
            answers[name][rows[output.rows.cpu().numpy()]] = softmax
        if on_answers is not None:
            on_answers(int(rows[-1]) + 1)
    networks.train(was_training)
    return answers


def chunks(
    prepared: PreparedPatients, patients: Sequence[str], drawn: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """Consecutive positions whose bags fit the budget, at least one a chunk."""
    chunk: list[int] = []
    patches = 0
    for row, patient in enumerate(patients):
        whole = prepared.n_patches(patient)
        size = whole if drawn is None else min(drawn, whole)
        if len(chunk) == _MOST_PATIENTS or (chunk and patches + size > _PATCH_BUDGET):
            yield np.array(chunk)
            chunk, patches = [], 0
        chunk.append(row)
        patches += size
    if chunk:
        yield np.array(chunk)
