"""Ways to distil that read logits, against plain loops and by their properties."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from histodistill.model.batch import Output
from histodistill.model.losses.distillation import dist, dkd, nkd
from tests.model.losses.distillation.patients import (
    classes,
    distiller,
    loss,
    of_logits,
    output,
    pair,
)

Vector = NDArray[np.float64]
N_CLASSES = pytest.mark.parametrize("n_classes", [2, 3, 5])


def softmax(logits: Vector, temperature: float = 1) -> Vector:
    powers = np.exp(logits / temperature)
    return np.asarray(powers / powers.sum())


def divergence(target: Vector, learner: Vector) -> float:
    return float(sum(t * math.log(t / s) for t, s in zip(target, learner, strict=True)))


def rows(n_classes: int) -> list[tuple[Vector, Vector, int]]:
    """Student's logits, teacher's logits and label of each patient."""
    student, teacher = pair(n_classes=n_classes)
    labels = classes(n_classes=n_classes).tolist()
    both = (student.logits.detach().numpy(), teacher.logits.numpy())
    return list(zip(*both, labels, strict=True))


def found(name: str, n_classes: int) -> float:
    return loss(name, *pair(n_classes=n_classes), classes(n_classes=n_classes))


# Against loops.


@N_CLASSES
def test_kd_is_the_divergence_of_softened_probabilities(n_classes: int) -> None:
    parts = [16 * divergence(softmax(t, 4), softmax(s, 4)) for s, t, _ in rows(n_classes)]
    assert found("kd", n_classes) == pytest.approx(np.mean(parts))


@N_CLASSES
def test_dkd_decouples_the_label_from_the_other_classes(n_classes: int) -> None:
    parts = []
    for s, t, label in rows(n_classes):
        own, others = [], []
        for logits in (t, s):
            p = softmax(logits, dkd.TEMPERATURE)
            own.append(np.array([p[label], 1 - p[label]]))
            rest = np.delete(p, label)
            others.append(rest / rest.sum())
        parts.append(dkd.TARGET_WEIGHT * divergence(*own) + dkd.OTHERS_WEIGHT * divergence(*others))
    assert found("dkd", n_classes) == pytest.approx(dkd.TEMPERATURE**2 * np.mean(parts))


@N_CLASSES
def test_nkd_normalises_the_other_classes(n_classes: int) -> None:
    parts = []
    for s, t, label in rows(n_classes):
        own = -softmax(t)[label] * math.log(softmax(s)[label])
        wanted, learned = (softmax(np.delete(x, label), nkd.TEMPERATURE) for x in (t, s))
        others = -sum(w * math.log(p) for w, p in zip(wanted, learned, strict=True))
        parts.append(own + nkd.OTHERS_WEIGHT * nkd.TEMPERATURE**2 * others)
    assert found("nkd", n_classes) == pytest.approx(np.mean(parts))


@N_CLASSES
def test_dist_correlates_over_classes_and_over_patients(n_classes: int) -> None:
    both = [(softmax(s), softmax(t)) for s, t, _ in rows(n_classes)]
    s, t = (np.array(x) for x in zip(*both, strict=True))
    inter = np.mean([np.corrcoef(s[i], t[i])[0, 1] for i in range(6)])
    intra = np.mean([np.corrcoef(s[:, c], t[:, c])[0, 1] for c in range(n_classes)])
    expected = dist.INTER_WEIGHT * (1 - inter) + dist.INTRA_WEIGHT * (1 - intra)
    assert found("dist", n_classes) == pytest.approx(expected)


@N_CLASSES
def test_mlkd_aligns_patients_batches_and_classes(n_classes: int) -> None:
    total = 0.0
    for temperature in (2, 3, 4, 5, 6):
        s = [softmax(row[0], temperature) for row in rows(n_classes)]
        t = [softmax(row[1], temperature) for row in rows(n_classes)]
        for a, b in zip(s, t, strict=True):
            total += temperature**2 * divergence(b, a) / 6
        for i, j in product(range(6), repeat=2):
            total += float(s[i] @ s[j] - t[i] @ t[j]) ** 2 / 6
        for c, e in product(range(n_classes), repeat=2):
            sums = [sum(p[c] * p[e] for p in x) / 6 for x in (s, t)]
            total += (sums[0] - sums[1]) ** 2 / n_classes
    assert found("mlkd", n_classes) == pytest.approx(total)


# Properties.


@N_CLASSES
@pytest.mark.parametrize("name", ["kd", "dkd", "dist", "mlkd"])
def test_equal_logits_cost_nothing(name: str, n_classes: int) -> None:
    student = output(1, n_classes=n_classes)
    value = distiller(name, n_classes)(student, student.detached(), classes(6, n_classes))
    assert value.item() == pytest.approx(0, abs=1e-12)
    value.backward()
    assert student.logits.grad is not None
    assert student.logits.grad.abs().max() < 1e-10
    assert found(name, n_classes) > 0.1


def test_nkd_wants_the_label_and_the_teachers_view_of_the_other_classes() -> None:
    student, teacher, labels = output(1), output(2).detached(), classes()
    own = torch.nn.functional.one_hot(labels, 3).bool()

    def value(logits: torch.Tensor) -> float:
        return loss("nkd", of_logits(logits), teacher, labels)

    surer = student.logits.detach() + 3.0 * own
    assert value(surer) < value(student.logits.detach())
    # The other classes as the teacher sees them, at the student's own probability of the label.
    mine = student.logits.detach().masked_fill(own, -torch.inf).logsumexp(dim=1, keepdim=True)
    theirs = teacher.logits.masked_fill(own, -torch.inf).log_softmax(dim=1) + mine
    assert value(torch.where(own, student.logits.detach(), theirs)) < value(student.logits.detach())


@pytest.mark.parametrize("name", ["kd", "dkd", "nkd", "dist", "mlkd"])
def test_a_constant_added_to_a_patients_logits_is_not_seen(name: str) -> None:
    student, teacher = pair()
    moved = student.logits + torch.arange(6)[:, None]
    assert loss(name, of_logits(moved), teacher, classes()) == pytest.approx(found(name, 3))


def test_dkd_of_two_classes_is_kd() -> None:
    assert found("dkd", 2) == pytest.approx(found("kd", 2))
    assert found("dkd", 3) != pytest.approx(found("kd", 3))


def test_nkd_of_two_classes_is_a_weighted_cross_entropy() -> None:
    student, teacher = pair(n_classes=2)
    labels = classes(n_classes=2)
    sure = teacher.logits.softmax(dim=1)[torch.arange(6), labels]
    each = torch.nn.functional.cross_entropy(student.logits, labels, reduction="none")
    assert found("nkd", 2) == pytest.approx((sure * each).mean().item())


def test_dist_of_two_classes_teaches_through_the_patients_alone() -> None:
    """Over two classes a correlation is 1 or -1: nothing that a gradient could follow."""
    student, teacher = pair(n_classes=2)
    agree = student.logits.argmax(dim=1) == teacher.logits.argmax(dim=1)
    assert 0 < agree.sum() < 6
    s, t = (x.softmax(dim=1)[:, 0] for x in (student.logits, teacher.logits))
    intra = torch.corrcoef(torch.stack([s, t]))[0, 1]
    value = distiller("dist", 2)(student, teacher, classes(n_classes=2))
    inter = 2 * (1 - (2 * agree.double() - 1).mean())
    assert value.item() == pytest.approx((inter + 2 * (1 - intra)).item())
    ours, expected = (torch.autograd.grad(x, student.logits)[0] for x in (value, -2 * intra))
    torch.testing.assert_close(ours, expected)


def test_dist_of_two_patients_and_two_classes_has_no_gradient() -> None:
    student, teacher = pair(2, 2)
    distiller("dist", 2)(student, teacher, classes(2, 2)).backward()
    assert student.logits.grad is not None
    assert student.logits.grad.abs().max() < 1e-10


def test_dist_does_not_correlate_rounding_errors() -> None:
    student, teacher = pair()
    noise = 1e-8 * student.logits.detach()
    logits = noise.requires_grad_()
    value = distiller("dist")(of_logits(logits), teacher, classes())
    assert value.item() == pytest.approx(4, abs=1e-3)
    value.backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e3


@pytest.mark.parametrize("name", ["kd", "dkd", "nkd", "dist", "mlkd"])
def test_very_sure_networks_give_finite_gradients(name: str) -> None:
    student = Output(output(1).features, (300 * output(1).logits).detach(), torch.arange(6))
    student.logits.requires_grad_()
    teacher = of_logits(-300 * output(1).logits.detach())
    value = distiller(name)(student, teacher, classes())
    value.backward()
    assert torch.isfinite(value)
    assert student.logits.grad is not None
    assert torch.isfinite(student.logits.grad).all()


@pytest.mark.parametrize("name", ["dkd", "nkd"])
def test_patients_without_a_label_are_left_out(name: str) -> None:
    student, teacher = pair()
    labels = classes().index_fill(0, torch.tensor([0, 4]), -1)
    known = labels >= 0
    expected = loss(
        name, of_logits(student.logits[known]), of_logits(teacher.logits[known]), labels[known]
    )
    assert loss(name, student, teacher, labels) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["kd", "dist", "mlkd"])
def test_labels_are_not_read(name: str) -> None:
    unknown = torch.full((6,), -1)
    assert loss(name, *pair(), unknown) == pytest.approx(found(name, 3))
