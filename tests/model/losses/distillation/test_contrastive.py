"""CRD and TDC against plain loops, their queue and their neighbours."""

from __future__ import annotations

import copy
import math
from typing import Literal

import pytest
import torch
from torch import Tensor

from histodistill.model.batch import Output
from histodistill.model.losses.distillation import crd, tdc
from histodistill.model.losses.distillation.critic import TEMPERATURE, Critic
from histodistill.model.losses.distillation.teacher_queue import TeacherQueue
from tests.model.losses.distillation.patients import WIDTH, distiller, of_features, output

Contrastive = crd.ContrastiveDistillation | tdc.TopologyDiscrepancyContrast
NAMES = pytest.mark.parametrize("name", ["crd", "tdc"])
LABELS = torch.tensor([0, 1, 2, 0, 1, -1])


def contrastive(name: Literal["crd", "tdc"]) -> Contrastive:
    built = distiller(name)
    assert isinstance(built, Contrastive)
    return built


def batch(seed: int) -> tuple[Output, Output]:
    return output(seed), output(100 + seed).detached()


def embedded(layer: torch.nn.Linear, rows: Tensor) -> list[list[float]]:
    """Unit vectors, by loops."""
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    result = []
    for row in rows.tolist():
        raw = [
            b + sum(w * x for w, x in zip(ws, row, strict=True))
            for ws, b in zip(weight, bias, strict=True)
        ]
        length = math.sqrt(sum(x**2 for x in raw))
        result.append([x / length for x in raw])
    return result


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def normaliser(critic: Critic, student: Output, teacher: Output) -> float:
    """Z: the mean of the first batch."""
    anchors = embedded(critic.student, student.features)
    answers = embedded(critic.teacher, teacher.features)
    powers = [math.exp(dot(a, b) / TEMPERATURE) for a in anchors for b in answers]
    return sum(powers) / len(powers)


def noise_contrast(
    power: list[float], positive: dict[int, float], negative: list[int], z: float
) -> float:
    """CRD's equation 18 for one patient."""
    n = max(len(negative), 1)
    odds = [p / z / (p / z + n) for p in power]
    attracted = sum(weight * math.log(odds[j]) for j, weight in positive.items())
    return -attracted - sum(math.log(1 - odds[j]) for j in negative)


def powers(critic: Critic, student: Output, features: Tensor) -> list[list[float]]:
    anchors = embedded(critic.student, student.features)
    answers = embedded(critic.teacher, features)
    return [[math.exp(dot(a, b) / TEMPERATURE) for b in answers] for a in anchors]


def test_crd_recognises_the_patient_among_batch_and_queue() -> None:
    learner = contrastive("crd")
    earlier, now = batch(1), batch(2)
    z = normaliser(learner.critic, *earlier)
    classes = [*LABELS.tolist(), *LABELS.tolist()]
    everybody = torch.cat([now[1].features, earlier[1].features])  # the batch, then the queue
    expected = 0.0
    for i, row in enumerate(powers(learner.critic, now[0], everybody)):
        unlike = [j for j in range(12) if j != i and (classes[j] != classes[i] or classes[i] < 0)]
        expected += crd.WEIGHT * noise_contrast(row, {i: 1.0}, unlike, z) / 6
    learner(*earlier, LABELS)
    assert learner(*now, LABELS).item() == pytest.approx(expected)


def _own_neighbours(answers: list[list[float]], classes: list[int], i: int) -> dict[int, float]:
    """The patient itself and its nearest of the same class, with their cosines."""
    alike = [j for j in range(len(answers)) if classes[j] == classes[i]]
    nearest = sorted(alike, key=lambda j: -dot(answers[i], answers[j]))[: tdc.POSITIVES]
    return {j: max(dot(answers[i], answers[j]), 0) for j in nearest}


def _margin(logits: Tensor, label: int) -> float:
    values = logits.tolist()
    return float(values[label] - max(x for c, x in enumerate(values) if c != label))


def test_tdc_attracts_neighbours_and_weighs_lost_confidence() -> None:
    learner = contrastive("tdc")
    batches = [batch(seed) for seed in range(5)]
    (student, teacher) = batches[-1]
    z = normaliser(learner.critic, *batches[0])
    everybody = torch.cat([b[1].features for b in reversed(batches)])
    classes = LABELS.tolist() * 5
    answers = embedded(learner.critic.teacher, everybody)
    expected, fewer, weights = 0.0, 0, []
    for i, row in enumerate(powers(learner.critic, student, everybody)):
        if classes[i] < 0:
            continue
        near = {j: w for j, w in _own_neighbours(answers, classes, i).items() if w > 0}
        fewer += len(near) < classes.count(classes[i])
        positive = {j: weight / sum(near.values()) for j, weight in near.items()}
        negative = [j for j in range(30) if j not in near]
        lost = _margin(teacher.logits[i], classes[i]) - _margin(student.logits[i], classes[i])
        weights.append(1 + min(max(lost, 0), tdc.MOST_DISCREPANCY))
        loss = noise_contrast(row, positive, negative, z)
        expected += tdc.WEIGHT * weights[-1] * loss / 5
    assert fewer  # not everybody of the class is a neighbour
    assert min(weights) == 1 < max(weights)
    values = [learner(*one, LABELS).item() for one in batches]
    assert values[-1] == pytest.approx(expected)


@NAMES
def test_the_loss_falls_where_student_and_teacher_agree_on_who_is_who(
    name: Literal["crd", "tdc"],
) -> None:
    learner = contrastive(name)
    _, teacher = batch(1)
    learner.critic.student.load_state_dict(learner.critic.teacher.state_dict())
    matched = of_features(teacher.features.clone())
    swapped = of_features(teacher.features.roll(1, dims=0).clone())
    other = copy.deepcopy(learner)
    assert learner(matched, teacher, LABELS) < other(swapped, teacher, LABELS)


@NAMES
def test_the_same_batches_give_the_same_losses(name: Literal["crd", "tdc"]) -> None:
    learners = [contrastive(name) for _ in range(2)]
    torch.rand(3)
    values = [[learner(*batch(s), LABELS).item() for s in range(3)] for learner in learners]
    assert values[0] == values[1]
    assert values[0][0] != values[0][1]


@NAMES
def test_a_saved_state_goes_on_alike(name: Literal["crd", "tdc"]) -> None:
    whole = contrastive(name)
    whole(*batch(1), LABELS)
    resumed = contrastive(name)
    resumed.load_state_dict(whole.state_dict())
    assert resumed(*batch(2), LABELS) == whole(*batch(2), LABELS)
    assert contrastive(name)(*batch(2), LABELS) != whole(*batch(2), LABELS)


@NAMES
def test_the_queue_remembers_nothing_of_the_graph(name: Literal["crd", "tdc"]) -> None:
    learner = contrastive(name)
    for seed in range(3):
        learner(*batch(seed), LABELS).backward()
    assert not learner.queue.features.requires_grad
    assert not learner.critic.log_normaliser.requires_grad


def test_the_queue_is_bounded_and_drops_the_oldest() -> None:
    queue = TeacherQueue(4, WIDTH).double()
    rows = [torch.full((3, WIDTH), float(k), dtype=torch.float64) for k in range(3)]
    for k, expected in enumerate([[0, 0, 0], [1, 1, 1, 0], [2, 2, 2, 1]]):
        queue.push(rows[k], torch.full((3,), k))
        features, labels, present = queue.behind(torch.zeros(2, WIDTH), torch.tensor([7, -1]))
        assert present.tolist() == [True] * (2 + len(expected)) + [False] * (4 - len(expected))
        assert labels[present].tolist() == [7, -1, *expected]
        assert features[present][2:, 0].tolist() == expected
    queue.push(torch.ones(9, WIDTH), torch.ones(9, dtype=torch.long))
    assert queue.features.shape == (4, WIDTH)
    assert queue.filled == 4


def test_crd_spares_patients_of_the_own_class() -> None:
    """Where everybody is known to be alike there is nobody to tell apart from."""
    alike = contrastive("crd")
    student, teacher = batch(1)
    scores = alike.critic(student.features, alike.critic.embed_teacher(teacher.features))
    expected = -crd.WEIGHT * torch.nn.functional.logsigmoid(scores.diagonal()).mean()
    found = contrastive("crd")(student, teacher, torch.zeros(6, dtype=torch.long))
    assert found.item() == pytest.approx(expected.item())
    unknown = contrastive("crd")(student, teacher, torch.full((6,), -1))
    everybody = contrastive("crd")(student, teacher, torch.arange(6))
    assert unknown.item() == pytest.approx(everybody.item())
    assert unknown > found
