"""Finished teachers: what they make of every patient, computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from histodistill.model import NetworkName, Networks, Output
from histodistill.preparation import PreparedPatients

# Features [d] and logits [C] by patient.
Answers = Mapping[str, tuple[Tensor, Tensor]]


class FrozenTeachers:
    """Looks up what finished teachers make of a batch of patients; gradients never reach them.

    Args:
        answers: For each teacher, features [d] and logits [C] of every patient it can answer.
    """

    def __init__(self, answers: Mapping[NetworkName, Answers] | None = None) -> None:
        self._places: dict[NetworkName, dict[str, int]] = {}
        self._features: dict[NetworkName, Tensor] = {}
        self._logits: dict[NetworkName, Tensor] = {}
        for name, known in (answers or {}).items():
            if known:
                self._places[name] = {patient: place for place, patient in enumerate(known)}
                self._features[name] = torch.stack([both[0] for both in known.values()])
                self._logits[name] = torch.stack([both[1] for both in known.values()])

    def __bool__(self) -> bool:
        return bool(self._places)

    def outputs(self, patients: Sequence[str]) -> dict[NetworkName, Output]:
        """What each teacher makes of those of a batch's patients whom it can answer.

        Args:
            patients: Patients of the batch, in its order; repeats are allowed.
        """
        outputs: dict[NetworkName, Output] = {}
        for name, places in self._places.items():
            rows = [row for row, patient in enumerate(patients) if patient in places]
            if rows:
                features, logits = self._features[name], self._logits[name]
                taken = torch.tensor([places[patients[r]] for r in rows], device=features.device)
                answered = torch.tensor(rows, device=features.device)
                outputs[name] = Output(features[taken], logits[taken], answered)
        return outputs


@torch.no_grad()
def teacher_answers(
    teacher: Networks, prepared: PreparedPatients, patients: Sequence[str], device: torch.device
) -> Answers:
    """Features [d] and logits [C] of a finished teacher, without dropout and on whole bags.

    Args:
        teacher: A single network.
        prepared: The patients as it reads them.
        patients: Who is asked for; whom it cannot answer is left out.
        device: Where to compute.
    """
    teacher.to(device).eval()
    (name,) = teacher.settings.networks
    answers: dict[str, tuple[Tensor, Tensor]] = {}
    for patient in patients:
        output = teacher(prepared.batch([patient], device=device)).get(name)
        if output is not None:
            answers[patient] = (output.features[0].float(), output.logits[0].float())
    return answers
