"""What holds for every way to distil."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from histodistill.model.batch import Output
from histodistill.model.registries import DISTILLERS
from tests.model.losses.distillation.patients import WIDTH, classes, distiller, output, pair

EVERY = pytest.mark.parametrize("name", DISTILLERS.names())
N_CLASSES = pytest.mark.parametrize("n_classes", [2, 4])
READ_LOGITS = {"kd", "dkd", "nkd", "dist", "mlkd"}
NEED_LABELS: tuple[str, ...] = ("dkd", "nkd", "tdc")


def gradient(student: Output) -> Tensor:
    """The gradient of everything the student gave, one row a patient."""
    found = [
        torch.zeros_like(x) if x.grad is None else x.grad
        for x in (student.features, student.logits)
    ]
    return torch.cat(found, dim=1)


def test_every_name_has_a_distiller() -> None:
    for name in DISTILLERS:
        assert DISTILLERS.facts_of(DISTILLERS.load(name)) == DISTILLERS.facts(name)


@EVERY
@N_CLASSES
def test_the_student_learns_and_the_teacher_does_not(name: str, n_classes: int) -> None:
    """Even a teacher that could learn is not taught by the detached outputs of the trainer."""
    student, source = output(1, n_classes=n_classes), output(2, n_classes=n_classes)
    learner = distiller(name, n_classes)
    value = learner(student, source.detached(), classes(6, n_classes))
    assert value.shape == ()
    value.backward()
    found = gradient(student)
    assert torch.isfinite(found).all()
    assert (found != 0).any(dim=1).all()
    read, unread = student.features, student.logits
    if name in READ_LOGITS:
        read, unread = unread, read
    assert read.grad is not None
    assert unread.grad is None  # nor through TDC's weights
    assert source.features.grad is None
    assert source.logits.grad is None
    for parameter in learner.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


@EVERY
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    student, teacher = pair(4)
    learner = distiller(name)
    given_logits = student.logits.detach().clone()
    learner(student, teacher, classes(4))  # CRD's normaliser is fixed by the first batch

    def value(features: Tensor, logits: Tensor) -> Tensor:
        if name == "tdc":  # how it weighs the patients is detached
            logits = given_logits + 0 * logits
        given = replace(student, features=features, logits=logits)
        result: Tensor = copy.deepcopy(learner)(given, teacher, classes(4))
        return result + 0 * logits.sum()

    assert torch.autograd.gradcheck(value, (student.features, student.logits))


def repeated(first: Output, n: int) -> Output:
    """The same patient n times."""
    return Output(
        first.features[:1].detach().expand(n, -1).clone().requires_grad_(),
        first.logits[:1].detach().expand(n, -1).clone().requires_grad_(),
        torch.arange(n),
    )


@EVERY
@N_CLASSES
@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize("who", ["student", "teacher", "both"])
def test_identical_patients_give_finite_gradients(
    name: str, n_classes: int, n: int, who: str
) -> None:
    student, teacher = pair(n, n_classes)
    if who in ("student", "both"):
        student = repeated(student, n)
    if who in ("teacher", "both"):
        teacher = repeated(teacher, n).detached()
    value = distiller(name, n_classes)(student, teacher, classes(n, n_classes))
    value.backward()
    assert torch.isfinite(value)
    assert gradient(student).abs().max() < 1e5


@EVERY
@N_CLASSES
@pytest.mark.parametrize("n", [2, 3])
def test_few_patients_are_enough(name: str, n_classes: int, n: int) -> None:
    student, teacher = pair(n, n_classes)
    value = distiller(name, n_classes)(student, teacher, classes(n, n_classes))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(gradient(student)).all()


@EVERY
def test_a_teacher_that_gives_no_feature_does_no_harm(name: str) -> None:
    """Dropout after ReLU can leave nothing but zeros."""
    student, teacher = pair()
    silent = replace(teacher, features=torch.zeros_like(teacher.features))
    value = distiller(name)(student, silent, classes())
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(gradient(student)).all()


@EVERY
@N_CLASSES
def test_without_any_label_the_loss_can_still_be_backpropagated(name: str, n_classes: int) -> None:
    student, teacher = pair(4, n_classes)
    value = distiller(name, n_classes)(student, teacher, torch.full((4,), -1))
    value.backward()
    found = gradient(student)
    if name in NEED_LABELS:
        assert value == 0
        assert (found == 0).all()
    else:
        assert value > 0
        assert found.abs().max() > 0


@pytest.mark.parametrize("name", NEED_LABELS)
def test_a_patient_without_a_label_is_not_taught(name: str) -> None:
    student, teacher = pair()
    labels = classes().index_fill(0, torch.tensor([2]), -1)
    distiller(name)(student, teacher, labels).backward()
    taught = gradient(student).abs().sum(dim=1) > 0
    assert taught.tolist() == [True, True, False, True, True, True]


@EVERY
def test_the_order_of_the_patients_does_not_matter(name: str) -> None:
    student, teacher = pair()
    order = torch.tensor([3, 0, 5, 1, 4, 2])

    def shuffled(given: Output) -> Output:
        return Output(given.features[order], given.logits[order], given.rows)

    one = distiller(name)(student, teacher, classes())
    other = distiller(name)(shuffled(student), shuffled(teacher), classes()[order])
    assert one.item() == pytest.approx(other.item())


@EVERY
def test_single_precision_is_enough(name: str) -> None:
    student, teacher = pair(16)
    exact = distiller(name)(student, teacher, classes(16)).item()
    single = distiller(name).float()(student.float(), teacher.float(), classes(16)).item()
    assert single == pytest.approx(exact, rel=1e-3)


@EVERY
def test_own_weights_are_few(name: str) -> None:
    """At most two maps between features: nothing that could learn the task by itself."""
    count = sum(p.numel() for p in DISTILLERS.load(name)(WIDTH, 3).parameters())
    assert count <= 2 * 128 * (WIDTH + 1)
