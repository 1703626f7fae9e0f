"""MoMKD: memories of the classes, and what each modality does to them."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from histodistill.deploy import Bundle, BundleInfo, FeatureOrigin
from histodistill.inference import Member
from histodistill.model import Bags, Batch, Networks, ObjectiveSettings
from histodistill.model.students.momkd.class_memory import affinities, soft_angle_loss
from histodistill.model.students.momkd.memory_alignment import MemoryAlignment
from histodistill.model.students.momkd.student import MEMORY_SIZE, MomentumMemoryStudent, overlap
from histodistill.model.training_terms import TrainingTerms, total
from histodistill.preparation import Transforms
from tests.model.batches import SMALL, WIDTH, alone, bags, genes, gradients, networks

MOMKD = SMALL.model_copy(update={"networks": ("student",), "student": "momkd"})
SIZES = {0: 1, 1: 5, 2: 7, 3: 3}


def momkd(n_classes: int = 2) -> Networks:
    return networks(n_classes=n_classes, settings=MOMKD)


def student_of(trained: Networks) -> MomentumMemoryStudent:
    assert isinstance(trained.student, MomentumMemoryStudent)
    return trained.student


def unit(vectors: Tensor) -> np.ndarray:
    found: np.ndarray = normalize(vectors.detach(), dim=-1).numpy()
    return found


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def smooth_largest(direction: np.ndarray, memory: np.ndarray) -> float:
    return math.log(sum(math.exp(5 * float(direction @ m)) for m in memory)) / 5


def angle_loss(direction: np.ndarray, memory: np.ndarray, label: int) -> float:
    found = [smooth_largest(direction, of_class) for of_class in memory]
    own = found.pop(label)
    return softplus(20 * (0.3 - (own - max(found))))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_equations_one_patch_at_a_time(n_classes):
    student = student_of(momkd(n_classes))
    batch = bags(SIZES)
    labels = torch.tensor([0, 1, -1, n_classes - 1])
    output = student(batch, labels)
    memory = unit(student.memory)
    hidden = student.patches(batch.patches)
    directions = unit(student.patch_projection(hidden))
    starts = np.cumsum([0, *SIZES.values()])
    angles, errors, spreads = [], [], []
    for row, (first, last) in enumerate(itertools.pairwise(starts)):
        scores = []
        for direction in directions[first:last]:
            nearest = [max(float(direction @ m) for m in memory[c]) for c in range(n_classes)]
            scores.append((max(nearest[1:]) - nearest[0]) / 0.2)
        weights = np.exp(scores) / np.exp(scores).sum()
        pooled = weights @ hidden[first:last].detach().numpy()
        # The softmax over a bag is taken in float32.
        np.testing.assert_allclose(output.features[row].detach().numpy(), pooled, rtol=1e-6)
        if (label := int(labels[row])) >= 0:
            own = memory[label]
            distances = [min(((d - m) ** 2).mean() for m in own) for d in directions[first:last]]
            errors.append(np.mean(distances))
            spreads.append(((own @ own.T) ** 2).sum() / MEMORY_SIZE**2 - 1 / MEMORY_SIZE)
            slide = unit(student.slide_projection(torch.from_numpy(pooled)))
            angles.append(angle_loss(slide, memory, label))
    expected = 0.2 * np.mean(angles) + 0.1 * (np.mean(errors) + 10 * np.mean(spreads))
    assert output.auxiliary is not None
    assert output.auxiliary.item() == pytest.approx(expected, rel=1e-6)
    assert torch.equal(output.logits, student.classifier(output.features))
    np.testing.assert_allclose(output.internals["memory"].detach(), memory)


def test_the_alignment_loss_falls_towards_the_own_class():
    memory = torch.eye(6, dtype=torch.float64).view(3, 2, 6)
    towards = torch.zeros(1, 6, dtype=torch.float64)
    towards[0, 2] = 1
    losses = [float(soft_angle_loss(towards, memory, torch.tensor([c]))) for c in range(3)]
    assert losses[1] < 0.1 < losses[0] == losses[2]
    # The smooth maximum lies above the maximum, by no more than log(K) / 5.
    found = affinities(towards, memory)
    assert 1 <= float(found[0, 1]) <= 1 + math.log(2) / 5


def test_orthogonal_memories_do_not_overlap():
    assert overlap(torch.eye(4)[None]).item() == pytest.approx(0)
    assert overlap(torch.ones(1, 4, 1)).item() == pytest.approx(1 - 1 / 4)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_patients_answer_does_not_depend_on_who_else_there_is(n_classes):
    trained = momkd(n_classes).eval()
    batch = Batch(bags(SIZES), None, torch.tensor([0, 1, -1, 0]))
    together = trained(batch)["student"]
    assert together.auxiliary is None
    assert not together.internals
    for row in SIZES:
        single = trained(alone(batch, row))["student"]
        torch.testing.assert_close(single.logits[0], together.logits[row])
        torch.testing.assert_close(single.features[0], together.features[row])


def test_a_bag_of_one_patch_is_its_patch():
    student = student_of(momkd())
    batch = bags({0: 1})
    torch.testing.assert_close(student(batch).features, student.patches(batch.patches))


def test_the_classifier_leaves_the_memories_alone():
    trained = momkd()
    student = student_of(trained)
    student(bags(SIZES)).logits.square().sum().backward()
    flowed = gradients(student)
    assert not flowed["memory"].any()
    assert flowed["log_temperature"].any()
    assert flowed["patch_projection.weight"].any()
    trained.zero_grad()
    auxiliary = student(bags(SIZES), torch.tensor([0, 1, 0, 1])).auxiliary
    assert auxiliary is not None
    auxiliary.backward()
    for name, gradient in gradients(student).items():
        assert gradient.any() != name.startswith("classifier"), name


def test_patients_without_a_label_shape_no_memory():
    student = student_of(momkd())
    known = student(bags({0: 1, 1: 5}), torch.tensor([0, 1])).auxiliary
    both = student(bags({0: 1, 1: 5, 2: 7}), torch.tensor([0, 1, -1])).auxiliary
    torch.testing.assert_close(both, known)
    nobody = student(bags({2: 7}), torch.tensor([-1]))
    assert nobody.auxiliary is None


def test_genes_meet_slides_in_the_memories_alone():
    trained = momkd()
    student = student_of(trained)
    settings = ObjectiveSettings(from_genes={"memory_alignment": 1}, cross_entropy=0)
    terms = TrainingTerms(settings, trained, genes(range(12), seed=5)).double()
    batch = Batch(bags({0: 4, 1: 5}), genes([0, 1, 2]), torch.tensor([0, 1, 1]))
    terms(trained(batch), batch)["memory_alignment"].backward()
    for name, gradient in gradients(student).items():
        assert gradient.any() == (name == "memory"), name
    assert all(gradient.any() for gradient in gradients(terms).values())


@pytest.mark.parametrize("n_classes", [2, 3])
def test_genomic_alignment_by_hand(n_classes):
    torch.manual_seed(0)
    term = MemoryAlignment(20, MOMKD).double()
    memory = torch.from_numpy(unit(torch.randn(n_classes, 5, 4, dtype=torch.float64)))
    values = torch.randn(3, 20, dtype=torch.float64)
    labels = torch.tensor([n_classes - 1, -1, 0])
    code = term.encoder(values)
    error = (term.decoder(code) - values).square().mean().item()
    directions = unit(term.projection(code))
    angles = [angle_loss(directions[i], memory.numpy(), int(labels[i])) for i in (0, 2)]
    expected = 0.01 * error + 0.05 * float(np.mean(angles))
    assert term(values, memory, labels).item() == pytest.approx(expected, rel=1e-9)
    unlabelled = term(values, memory, torch.full((3,), -1)).item()
    assert unlabelled == pytest.approx(0.01 * error, rel=1e-9)


def test_training_tells_the_classes_apart_by_their_memories():
    """Patches of two kinds: the own memories come nearer, and the loss falls."""
    torch.manual_seed(0)
    trained = momkd()
    batch = Batch(bags(dict.fromkeys(range(8), 6)), None, torch.arange(8) % 2)
    assert batch.bags is not None
    batch.bags.patches[::6] += 3 * batch.labels.double()[:, None]
    terms = TrainingTerms(ObjectiveSettings(), trained)
    optimizer = torch.optim.Adam(trained.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        loss = total(terms(trained(batch), batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_the_memories_travel_with_the_bundle(tmp_path: Path) -> None:
    trained = momkd(3).float().eval()
    assert "student.memory" in trained.state_dict()
    info = BundleInfo(
        target="subtype",
        classes=("a", "b", "c"),
        positive=None,
        features=FeatureOrigin(width=WIDTH, encoder=None),
        blocks={},
        recipe="momkd",
        provenance={},
    )
    Bundle(info, (Member(trained, Transforms(None, {}), {}),)).save(tmp_path / "bundle")
    (loaded,) = Bundle.load(tmp_path / "bundle").members
    memory = student_of(loaded.networks).memory
    assert memory.shape == (3, MEMORY_SIZE, MOMKD.attention_width)
    assert torch.equal(memory, student_of(trained).memory)
    exact = bags(SIZES)
    patients = Bags((exact.patches.float(),), exact.sizes, exact.rows)
    batch = Batch(patients, None, torch.full((4,), -1))
    assert torch.equal(loaded.networks(batch)["student"].logits, trained(batch)["student"].logits)
