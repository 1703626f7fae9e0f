"""Each term of the loss against a loop over its equation, and the properties it must have."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from histodistill.model import NetworkName, ObjectiveSettings, Output, objective
from histodistill.model.losses.objectives import (
    alignment,
    collaboration,
    distillation,
    orthogonality,
    similarity,
)

N, D = 7, 5
PAIRS: tuple[tuple[NetworkName, NetworkName], ...] = (
    ("multimodal", "student"),
    ("genomic", "student"),
    ("genomic", "multimodal"),
)
TAUGHT: tuple[tuple[NetworkName, NetworkName], ...] = (
    ("student", "multimodal"),
    ("student", "genomic"),
)


def features(seed: int, n: int = N, d: int = D) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64)


def rotation(seed: int = 0) -> Tensor:
    q: Tensor = torch.linalg.qr(features(seed, D, D)).Q
    return q


def loop_orthogonality(a: Tensor, b: Tensor) -> float:
    n, d = a.shape
    return abs(sum(float(a[i, k]) * float(b[i, k]) for i in range(n) for k in range(d)) / n)


def loop_alignment(a: Tensor, b: Tensor) -> float:
    n, d = a.shape
    means = [[float(x[:, i].sum()) / n for i in range(d)] for x in (a, b)]
    covariances = [
        [
            [
                sum(float((x[k, i] - m[i]) * (x[k, j] - m[j])) for k in range(n)) / (n - 1)
                for j in range(d)
            ]
            for i in range(d)
        ]
        for x, m in zip((a, b), means, strict=True)
    ]
    of_means = sum((p - q) ** 2 for p, q in zip(*means, strict=True)) / d
    of_covariances = sum(
        (covariances[0][i][j] - covariances[1][i][j]) ** 2 for i in range(d) for j in range(d)
    )
    return float(of_means + of_covariances / d**2)


def loop_similarity(a: Tensor, b: Tensor) -> float:
    n = len(a)
    rows = []
    for x in (a, b):
        gram = [[float(x[i] @ x[j]) for j in range(n)] for i in range(n)]
        rows.append([[g / math.hypot(*row) for g in row] for row in gram])
    return sum((rows[0][i][j] - rows[1][i][j]) ** 2 for i in range(n) for j in range(n)) / n**2


def loop_softmax(logits: Tensor, temperature: float) -> list[float]:
    raised = [math.exp(float(z) / temperature) for z in logits]
    return [z / sum(raised) for z in raised]


def loop_distillation(learner: Tensor, target: Tensor, temperature: float) -> float:
    total = 0.0
    for s, t in zip(learner, target, strict=True):
        p, q = loop_softmax(t, temperature), loop_softmax(s, temperature)
        total += sum(x * math.log(x / y) for x, y in zip(p, q, strict=True))
    return temperature**2 * total / len(learner)


def loop_cross_entropy(logits: Tensor, labels: Tensor) -> float:
    chosen = [loop_softmax(z, 1)[int(y)] for z, y in zip(logits, labels, strict=True)]
    return -sum(math.log(p) for p in chosen) / len(chosen)


@pytest.mark.parametrize(
    ("term", "loop"),
    [
        (orthogonality, loop_orthogonality),
        (alignment, loop_alignment),
        (similarity, loop_similarity),
    ],
)
@pytest.mark.parametrize("n", [2, N])
def test_feature_terms_are_their_equations(
    term: Callable[[Tensor, Tensor], Tensor], loop: Callable[[Tensor, Tensor], float], n: int
) -> None:
    a, b = features(1, n), 3 * features(2, n) + 0.5
    assert term(a, b).item() == pytest.approx(loop(a, b), rel=1e-10)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize("n_classes", [2, 5])
def test_distillation_is_its_equation(temperature: float, n_classes: int) -> None:
    a, b = 4 * features(1, d=n_classes), 4 * features(2, d=n_classes)
    there, back = loop_distillation(a, b, temperature), loop_distillation(b, a, temperature)
    assert distillation(a, b, temperature).item() == pytest.approx(there, rel=1e-10)
    assert collaboration(a, b, temperature).item() == pytest.approx(there + back, rel=1e-10)


def test_orthogonality_ignores_the_sign() -> None:
    a, b = features(1), features(2)
    assert orthogonality(a, b) > 0
    assert orthogonality(-a, b) == orthogonality(a, -b) == orthogonality(a, b)


def test_orthogonality_is_the_absolute_mean_and_not_the_mean_of_absolutes() -> None:
    a = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert orthogonality(a, torch.tensor([[5.0, 2.0], [-5.0, 7.0]])) == 0
    assert orthogonality(a, torch.tensor([[0.0, 3.0], [0.0, 9.0]])) == 0
    assert orthogonality(a, torch.tensor([[5.0, 0.0], [3.0, 0.0]])) == 4


def test_alignment_sees_the_moments_of_a_batch_alone() -> None:
    a = features(1)
    assert alignment(a, a) == 0
    assert alignment(a, a.flip(0)) < 1e-28
    shift = torch.tensor([2.0, 0, 0, 0, -1.0])
    assert alignment(a, a + shift).item() == pytest.approx((4 + 1) / 5)
    assert alignment(a, -a - a.mean(0) * -2).item() == pytest.approx(0, abs=1e-28)


def test_similarity_ignores_rotation_and_scale() -> None:
    a, b = features(1), features(2)
    assert similarity(a, a) == 0
    assert similarity(a, 7 * a @ rotation()) < 1e-28
    turned = similarity(a @ rotation(3), 0.1 * b @ rotation(4))
    assert turned.item() == pytest.approx(similarity(a, b).item(), rel=1e-10)
    assert similarity(a, b) > 1e-3


def test_similarity_compares_features_of_different_width() -> None:
    a, b = features(1, d=3), features(2, d=9)
    assert similarity(a, b).item() == pytest.approx(loop_similarity(a, b), rel=1e-10)


def test_collaboration_is_zero_for_equal_logits_up_to_a_shift() -> None:
    logits = features(1, d=3)
    assert collaboration(logits, logits, 4) == 0
    assert collaboration(logits, logits + 5, 4).item() == pytest.approx(0, abs=1e-14)
    assert collaboration(logits, -logits, 4) > 0


def test_distillation_teaches_the_learner_alone() -> None:
    learner, target = features(1, d=2).requires_grad_(), features(2, d=2).requires_grad_()
    distillation(learner, target, 4).backward()
    assert target.grad is None
    assert learner.grad is not None
    # d/ds of T^2/n KL(p || softmax(s/T)) is T/n (softmax(s/T) - p).
    expected = 4 / N * (torch.softmax(learner / 4, 1) - torch.softmax(target / 4, 1))
    torch.testing.assert_close(learner.grad, expected.detach())


def test_collaboration_pulls_the_two_networks_towards_each_other() -> None:
    first, second = features(1, d=2).requires_grad_(), features(2, d=2).requires_grad_()
    collaboration(first, second, 4).backward()
    assert first.grad is not None
    assert second.grad is not None
    torch.testing.assert_close(first.grad, -second.grad)
    assert (first.grad * (first - second)).sum() > 0


@pytest.mark.parametrize("term", [orthogonality, alignment, similarity])
def test_feature_terms_detach_nothing(term: Callable[[Tensor, Tensor], Tensor]) -> None:
    a, b = features(1).requires_grad_(), features(2).requires_grad_()
    assert torch.autograd.gradcheck(term, (a, b))


# The whole objective.


def outputs(n_classes: int = 2, n: int = N) -> dict[NetworkName, Output]:
    rows = torch.arange(n)
    return {
        "student": Output(features(1, n), features(4, n, n_classes), rows),
        "multimodal": Output(features(2, n), features(5, n, n_classes), rows),
        "genomic": Output(features(3, n), features(6, n, n_classes), rows),
    }


LABELS = torch.tensor([0, 1, 1, 0, 1, 0, 0])
WEIGHTED = ObjectiveSettings(
    cross_entropy=0.7,
    orthogonality=1.3,
    alignment=0.2,
    similarity=2.5,
    collaboration=0.4,
    temperature=3,
)


@pytest.mark.parametrize("settings", [ObjectiveSettings(), WEIGHTED])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_objective_is_the_published_sum(settings: ObjectiveSettings, n_classes: int) -> None:
    out = outputs(n_classes)
    terms = objective(out, LABELS, settings)

    def over(pairs: tuple[tuple[NetworkName, NetworkName], ...], loop: Callable) -> float:
        return float(sum(loop(out[a].features, out[b].features) for a, b in pairs))

    expected = {
        f"ce_{name}": settings.cross_entropy * loop_cross_entropy(one.logits, LABELS)
        for name, one in out.items()
    }
    expected["orthogonality"] = settings.orthogonality / 6 * over(PAIRS, loop_orthogonality)
    expected["alignment"] = settings.alignment * over(PAIRS, loop_alignment)
    expected["similarity"] = settings.similarity * N * over(TAUGHT, loop_similarity)
    expected["collaboration"] = settings.collaboration * sum(
        loop_distillation(out[x].logits, out[y].logits, settings.temperature)
        for a, b in TAUGHT
        for x, y in ((a, b), (b, a))
    )
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("weight", "names"),
    [
        ("cross_entropy", {"ce_student", "ce_multimodal", "ce_genomic"}),
        ("orthogonality", {"orthogonality"}),
        ("alignment", {"alignment"}),
        ("similarity", {"similarity"}),
        ("collaboration", {"collaboration"}),
    ],
)
def test_a_weight_of_zero_leaves_its_term_out(weight: str, names: set[str]) -> None:
    everything = objective(outputs(), LABELS, ObjectiveSettings())
    rest = objective(outputs(), LABELS, ObjectiveSettings.model_validate({weight: 0}))
    assert set(rest) == set(everything) - names
    for name, term in rest.items():
        assert term == everything[name]


def test_temperature_reaches_collaboration_alone() -> None:
    cold = objective(outputs(), LABELS, ObjectiveSettings(temperature=1))
    warm = objective(outputs(), LABELS, ObjectiveSettings(temperature=4))
    assert {name for name in cold if cold[name] != warm[name]} == {"collaboration"}


def test_all_weights_zero_leave_nothing() -> None:
    settings = ObjectiveSettings(
        cross_entropy=0, orthogonality=0, alignment=0, similarity=0, collaboration=0
    )
    assert objective(outputs(), LABELS, settings) == {}


def test_terms_apply_to_the_networks_that_there_are() -> None:
    out = outputs()
    student_alone: dict[NetworkName, Output] = {"student": out["student"]}
    assert set(objective(student_alone, LABELS, ObjectiveSettings())) == {"ce_student"}
    teachers: dict[NetworkName, Output] = {name: out[name] for name in ("multimodal", "genomic")}
    assert set(objective(teachers, LABELS, ObjectiveSettings())) == {
        "ce_multimodal",
        "ce_genomic",
        "orthogonality",
        "alignment",
    }


def test_a_batch_of_one_patient_has_cross_entropy_alone() -> None:
    """A covariance and a similarity need two patients."""
    terms = objective(outputs(n=1), LABELS[:1], ObjectiveSettings())
    assert set(terms) == {"ce_student", "ce_multimodal", "ce_genomic"}
    assert all(np.isfinite(term.item()) for term in terms.values())
