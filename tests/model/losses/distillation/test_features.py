"""Ways to distil that read features, against plain loops and by their properties."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from histodistill.model.losses.distillation import (
    attention_transfer,
    correlation_congruence,
    pkt,
    rkd,
)
from histodistill.model.losses.distillation.fitnet import FitNet
from histodistill.model.losses.distillation.vid import LEAST_VARIANCE, PACE, VariationalInformation
from histodistill.model.losses.objectives import similarity
from tests.model.losses.distillation.patients import (
    WIDTH,
    classes,
    distiller,
    loss,
    of_features,
    output,
    pair,
    rotation,
)

Matrix = NDArray[np.float64]


def features() -> tuple[Matrix, Matrix]:
    student, teacher = pair()
    return student.features.detach().numpy(), teacher.features.numpy()


def found(name: str) -> float:
    return loss(name, *pair(), classes())


# Against loops.


def test_fitnet_is_half_the_squared_distance_of_the_regressed_features() -> None:
    hint = distiller("fitnet")
    assert isinstance(hint, FitNet)
    weight, bias = (p.detach().numpy() for p in hint.regressor.parameters())
    s, t = features()
    total = 0.0
    for i, j in product(range(6), range(WIDTH)):
        guess = bias[j] + sum(weight[j, k] * s[i, k] for k in range(WIDTH))
        total += (t[i, j] - guess) ** 2 / 2
    assert hint(*pair(), classes()).item() == pytest.approx(total / 6)


def informed() -> VariationalInformation:
    found = distiller("vid")
    assert isinstance(found, VariationalInformation)
    return found


def test_vid_is_the_negative_log_likelihood_of_a_gaussian() -> None:
    vid = informed()
    with torch.no_grad():
        vid.paced_variance.copy_(torch.linspace(-3, 3, WIDTH) / PACE)
    student, teacher = pair()
    first, second, third = (p for name, p in vid.named_parameters() if "mean" in name)
    hidden = ((student.features @ first.T).clamp(min=0) @ second.T).clamp(min=0)
    deviation = (torch.log1p(torch.linspace(-3, 3, WIDTH).exp()) + LEAST_VARIANCE).sqrt()
    likelihood = torch.distributions.Normal(hidden @ third.T, deviation).log_prob(teacher.features)
    expected = -likelihood.mean() - math.log(2 * math.pi) / 2
    assert vid(student, teacher, classes()).item() == pytest.approx(expected.item(), rel=1e-5)


def test_vid_starts_with_a_variance_of_five() -> None:
    assert informed().variance.tolist() == pytest.approx([5] * WIDTH)


def test_vids_variances_find_what_the_student_cannot_tell() -> None:
    """In as many steps of the engine's optimiser as a training has."""
    vid = informed()
    student, _ = pair(64)
    noise = 0.1 * torch.arange(1, WIDTH + 1)  # the student cannot tell, feature by feature
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW([vid.paced_variance], lr=2e-4)
    for _ in range(600):
        drawn = torch.randn(64, WIDTH, generator=generator, dtype=torch.float64)
        target = of_features(vid.mean(student.features).detach() + noise * drawn)
        optimiser.zero_grad()
        vid(student, target, classes(64)).backward()
        optimiser.step()
    assert vid.variance.tolist() == pytest.approx((noise**2).tolist(), rel=0.3)


def test_at_compares_normalised_squares() -> None:
    total = 0.0
    for s, t in zip(*features(), strict=True):
        maps = [[x**2 / math.sqrt(sum(y**4 for y in row)) for x in row] for row in (s, t)]
        total += sum((a - b) ** 2 for a, b in zip(*maps, strict=True))
    assert found("at") == pytest.approx(attention_transfer.WEIGHT * total / (6 * WIDTH))


def test_sp_is_the_similarity_term_at_the_weight_of_64_samples() -> None:
    student, teacher = pair()
    expected = 3000 * similarity(student.features, teacher.features).item() * 6 / 64
    assert found("sp") == pytest.approx(expected)


def _relative_distances(rows: Matrix) -> Matrix:
    n = len(rows)
    distances = np.array([[math.dist(rows[i], rows[j]) for j in range(n)] for i in range(n)])
    mean = np.mean([distances[i, j] for i in range(n) for j in range(n) if i != j])
    return np.asarray(distances / mean)


def _angle(rows: Matrix, at: int, i: int, j: int) -> float:
    if at in (i, j):
        return 0.0
    one, other = rows[i] - rows[at], rows[j] - rows[at]
    return float(one @ other / math.sqrt((one @ one) * (other @ other)))


def _huber(difference: float) -> float:
    size = abs(difference)
    return size**2 / 2 if size <= 1 else size - 0.5


def test_rkd_compares_relative_distances_and_angles() -> None:
    s, t = features()
    far = _relative_distances(s) - _relative_distances(t)
    triplets = list(product(range(6), repeat=3))
    assert max(abs(_angle(s, *x) - _angle(t, *x)) for x in triplets) > 1  # both sides of Huber
    distance = np.mean([_huber(x) for x in far.flat])
    angle = np.mean([_huber(_angle(s, *x) - _angle(t, *x)) for x in triplets])
    assert found("rkd") == pytest.approx(
        rkd.DISTANCE_WEIGHT * float(distance) + rkd.ANGLE_WEIGHT * float(angle)
    )


def _cosine(a: Matrix, b: Matrix) -> float:
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def test_pkt_is_the_divergence_of_the_neighbours() -> None:
    total = 0.0
    for i in range(6):
        kernels = [[(1 + _cosine(x[i], x[j])) / 2 for j in range(6)] for x in features()]
        student, teacher = ([k / sum(row) for k in row] for row in kernels)
        total += sum(b * math.log(b / a) for a, b in zip(student, teacher, strict=True)) / 6
    assert found("pkt") == pytest.approx(pkt.WEIGHT * total, rel=1e-5)


def test_cc_compares_the_series_of_a_gaussian_kernel() -> None:
    def kernel(a: Matrix, b: Matrix) -> float:
        x = 0.8 * _cosine(a, b)
        return math.exp(-0.8) * (1 + x + x**2 / 2)

    s, t = features()
    pairs = product(range(6), repeat=2)
    total = sum((kernel(s[i], s[j]) - kernel(t[i], t[j])) ** 2 for i, j in pairs)
    assert found("cc") == pytest.approx(correlation_congruence.WEIGHT * total / 36)


def test_the_series_of_cc_approaches_the_gaussian(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation_congruence, "ORDER", 12)
    s, t = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in features())
    total = 0.0
    for i, j in product(range(6), repeat=2):
        gaussians = [math.exp(-0.4 * math.dist(x[i], x[j]) ** 2) for x in (s, t)]
        total += (gaussians[0] - gaussians[1]) ** 2
    assert found("cc") == pytest.approx(correlation_congruence.WEIGHT * total / 36)


# Where they vanish, and what they do not see.


@pytest.mark.parametrize("name", ["at", "sp", "rkd", "pkt", "cc"])
def test_equal_features_cost_nothing(name: str) -> None:
    student = output(1)
    value = distiller(name)(student, student.detached(), classes())
    assert value.item() == pytest.approx(0, abs=1e-12)
    value.backward()
    assert student.features.grad is not None
    assert student.features.grad.abs().max() < 1e-10
    assert found(name) > 0.01


def test_a_learned_map_can_meet_features_that_are_linear_in_the_students() -> None:
    student = output(1)
    teacher = of_features((student.features @ rotation() + 1).detach())
    hint = distiller("fitnet")
    assert isinstance(hint, FitNet)
    with torch.no_grad():
        hint.regressor.weight.copy_(rotation().T)
        hint.regressor.bias.fill_(1)
    assert hint(student, teacher, classes()).item() == pytest.approx(0, abs=1e-12)


def test_vid_is_the_surer_the_better_where_the_features_are_met() -> None:
    vid = informed()
    student, _ = pair()
    met = of_features(vid.mean(student.features).detach())
    unsure = vid(student, met, classes()).item()
    assert unsure == pytest.approx(math.log(5) / 2)
    with torch.no_grad():
        vid.paced_variance.fill_(-5 / PACE)
    assert vid(student, met, classes()).item() < -2


@pytest.mark.parametrize("name", ["rkd", "pkt", "cc", "sp"])
def test_rotation_is_not_seen(name: str) -> None:
    student, teacher = pair()
    turned = of_features(student.features @ rotation())
    assert loss(name, turned, teacher, classes()) == pytest.approx(found(name))


@pytest.mark.parametrize("name", ["rkd", "pkt", "cc", "sp", "at"])
def test_the_scale_of_all_features_is_not_seen(name: str) -> None:
    student, teacher = pair()
    scaled = of_features(7 * student.features)
    assert loss(name, scaled, teacher, classes()) == pytest.approx(found(name))


@pytest.mark.parametrize("name", ["pkt", "cc", "at"])
def test_the_length_of_a_feature_is_not_seen(name: str) -> None:
    student, teacher = pair()
    lengths = torch.linspace(0.1, 3, 6, dtype=torch.float64)[:, None]
    assert loss(name, of_features(lengths * student.features), teacher, classes()) == (
        pytest.approx(found(name))
    )


def test_rkd_does_not_see_where_the_origin_is() -> None:
    student, teacher = pair()
    moved = of_features(student.features + 3)
    assert loss("rkd", moved, teacher, classes()) == pytest.approx(found("rkd"))
    for name in ("pkt", "cc", "sp"):
        assert loss(name, moved, teacher, classes()) != pytest.approx(found(name))


@pytest.mark.parametrize("name", ["sp", "rkd", "pkt", "at", "cc", "fitnet", "vid"])
def test_twice_the_patients_cost_about_the_same(name: str) -> None:
    """The balance with the cross-entropy does not hang on the batch size."""
    small, large = (loss(name, *pair(n), classes(n)) for n in (16, 32))
    assert 0.6 < large / small < 1.7


def test_rkd_of_two_patients_is_zero() -> None:
    assert loss("rkd", *pair(2), classes(2)) == pytest.approx(0, abs=1e-12)


def test_rkd_passes_over_patients_at_the_same_place() -> None:
    """Two passes of one patient differ by rounding alone, which has no direction."""
    student, teacher = pair()
    rows = student.features.detach().clone()
    rows[1] = rows[0] + 1e-9 * torch.arange(WIDTH)
    rows.requires_grad_()
    value = distiller("rkd")(of_features(rows), teacher, classes())
    value.backward()
    assert rows.grad is not None
    assert rows.grad.abs().max() < 1e3
