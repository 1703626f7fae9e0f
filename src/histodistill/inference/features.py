"""What a student makes of patients before its classifier, without gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from histodistill.inference.answers import chunks
from histodistill.model import Networks
from histodistill.preparation import PreparedPatients


@torch.inference_mode()
def student_features(
    networks: Networks, prepared: PreparedPatients, patients: Sequence[str], device: torch.device
) -> NDArray[np.float64]:
    """Features [n, d] of the student, which is in eval mode.

    Args:
        networks: Trained networks with a student, on ``device``.
        prepared: The patients' bags.
        patients: n patients with slides.
        device: Where to compute.
    """
    student = networks.student
    assert student is not None
    found = [
        student(prepared.batch([patients[row] for row in rows], device=device).bags).features
        for rows in chunks(prepared, patients)
    ]
    parts = [features.double().cpu().numpy() for features in found]
    return np.concatenate(parts) if parts else np.empty((0, networks.settings.width))
