"""G-HANet: tokens that read the patches, and pooling led by them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from histodistill.errors import InputError
from histodistill.model import Batch, Networks, ObjectiveSettings
from histodistill.model.students.ghanet.group_reconstruction import GroupReconstruction
from histodistill.model.students.ghanet.student import (
    GROUPS,
    FeedForward,
    GenomeInformedStudent,
    PatchAttention,
    pool_groups,
)
from histodistill.model.training_terms import TrainingTerms
from tests.model.batches import SMALL, alone, bags, genes, gradients, networks

GHANET = SMALL.model_copy(update={"networks": ("student",), "student": "ghanet"})
SIZES = {0: 1, 1: 5, 2: 11}


def ghanet(n_classes: int = 2) -> Networks:
    return networks(n_classes=n_classes, settings=GHANET)


def student_of(trained: Networks) -> GenomeInformedStudent:
    assert isinstance(trained.student, GenomeInformedStudent)
    return trained.student


def test_the_branches_one_bag_at_a_time():
    student = student_of(ghanet())
    branch = student.association
    batch = bags(SIZES)
    output = student(batch, torch.zeros(3, dtype=torch.int64))
    for row, bag in enumerate(batch.split()):
        read, scores = torch.zeros_like(branch.tokens), torch.empty(0)
        patches = branch.patches(bag)
        for norm, feed in zip(branch.norms, branch.feeds, strict=True):
            read, scores = attended(branch.attention, norm(branch.tokens + read), patches)
            read = feed(read) + read
        tokens = branch.last_norm(read)
        torch.testing.assert_close(output.internals["tokens"][row], tokens, rtol=1e-6, atol=1e-6)

        hidden = student.patches(bag)
        pooled = by_hand(student.gate(hidden), scores, hidden)
        mixed = (pooled + student.transform(pooled) + tokens) / 2
        mixed = mixed + student.mixing(mixed[None], mixed[None], mixed[None])[0][0]
        mixed = student.feed(mixed) + mixed
        features = student.join(student.compression(mixed).reshape(1, -1))[0]
        torch.testing.assert_close(output.features[row], features, rtol=1e-6, atol=1e-6)
    assert torch.equal(output.logits, student.classifier(output.features))


def attended(attention: PatchAttention, queries: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
    """One bag, by torch's own attention, and the mean of the heads' scores [P, G]."""

    def heads(joined: Tensor) -> Tensor:
        return torch.stack(joined.chunk(4, dim=-1))

    q, k, v = (
        heads(project(x))
        for project, x in zip(
            (attention.query, attention.key, attention.value),
            (queries, patches, patches),
            strict=True,
        )
    )
    answers = scaled_dot_product_attention(q, k, v)
    scores = (q @ k.transpose(1, 2)).mean(dim=0).T / math.sqrt(q.shape[-1])
    return attention.out(torch.cat(list(answers), dim=-1)), scores


def by_hand(shared: Tensor, own: Tensor, hidden: Tensor) -> Tensor:
    """Pooling of one bag for each group, patch by patch."""
    pooled = []
    for scores in own.detach().T.tolist():
        count = max(1, int(0.2 * len(scores)))
        chosen = sorted(range(len(scores)), key=lambda p: -scores[p])[:count]
        total = sum(math.exp(scores[p]) for p in chosen)
        weights = torch.softmax(shared, dim=0)
        for p in chosen:
            weights = weights + torch.eye(len(scores))[p] * math.exp(scores[p]) / total
        pooled.append((weights / 2) @ hidden)
    return torch.stack(pooled)


def test_a_fifth_of_the_patches_counts():
    scores = torch.arange(20.0)[:, None]
    hidden = torch.eye(20)
    weights = pool_groups(torch.zeros(20), scores, hidden, (20,))[0, 0]
    expected = torch.full((20,), 0.5 / 20)
    expected[16:] += torch.softmax(scores[16:, 0], dim=0) / 2
    torch.testing.assert_close(weights, expected)


def test_the_gate_multiplies_the_content():
    feed = FeedForward(2, 0.0)
    hidden = torch.tensor([[0.3, -1.2]])
    content, gate = feed.widen(hidden).detach().chunk(2, dim=1)
    gelu = gate * 0.5 * (1 + torch.erf(gate / math.sqrt(2)))
    torch.testing.assert_close(feed(hidden), feed.narrow(content * gelu))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_patients_answer_does_not_depend_on_who_else_there_is(n_classes):
    trained = ghanet(n_classes).eval()
    batch = Batch(bags(SIZES), None, torch.tensor([0, 1, -1]))
    together = trained(batch)["student"]
    assert not together.internals
    assert together.logits.shape == (3, n_classes)
    assert together.features.shape == (3, GHANET.width)
    for row in SIZES:
        single = trained(alone(batch, row))["student"]
        torch.testing.assert_close(single.logits[0], together.logits[row])


def test_groups_of_genes_by_hand():
    torch.manual_seed(0)
    term = GroupReconstruction(20, GROUPS, GHANET).double()
    tokens = torch.randn(4, GROUPS, 8, dtype=torch.float64)
    values = torch.randn(4, 20, dtype=torch.float64)
    expected, first = 0.0, 0
    for group, size in enumerate([4, 4, 3, 3, 3, 3]):
        decoded = term.decoders[group](tokens[:, group]).detach().numpy()
        target = values[:, first : first + size].numpy()
        first += size
        norms = np.linalg.norm(decoded, axis=1) * np.linalg.norm(target, axis=1)
        cosines = (decoded * target).sum(axis=1) / norms
        expected += np.mean((1 - cosines) ** 3) + np.mean((decoded - target) ** 2)
    assert term(tokens, values).item() == pytest.approx(expected, rel=1e-9)


def test_fewer_genes_than_groups_are_refused():
    with pytest.raises(InputError, match=r"5 genes vary.*`ghanet` reconstructs 6 groups"):
        GroupReconstruction(5, GROUPS, GHANET)


def test_what_learns_from_what():
    trained = ghanet()
    student = student_of(trained)
    settings = ObjectiveSettings(from_genes={"group_reconstruction": 1})
    terms = TrainingTerms(settings, trained, genes(range(12), seed=5)).double()
    batch = Batch(bags(SIZES), genes([0, 2]), torch.tensor([0, 1, 1]))
    terms(trained(batch), batch)["group_reconstruction"].backward()
    for name, gradient in gradients(student).items():
        assert gradient.any() == name.startswith("association"), name
    assert all(gradient.any() for gradient in gradients(terms).values())
    trained.zero_grad()
    terms(trained(batch), batch)["ce_student"].backward()
    assert all(gradient.any() for gradient in gradients(student).values())
