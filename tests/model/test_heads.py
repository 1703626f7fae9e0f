"""Several targets: a head each, labels that are missing, and a head cut out."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from histodistill.model import Bags, Batch, Genes, Networks, NetworkSettings, ObjectiveSettings
from histodistill.model.heads import Head
from histodistill.model.losses.objectives import objective
from histodistill.model.losses.objectives.ordered import ordered_cross_entropy
from histodistill.model.registries import GENOMIC_TEACHERS, MULTIMODAL_TEACHERS, STUDENTS

SIZES = {"width": 8, "attention_width": 4, "token_size": 6, "fusion_width": 4}
HEADS = (Head(2, weight=1.0), Head(3, ordered=True, weight=2.0), Head(2, weight=1.0))
CLASSES = tuple(head.n_classes for head in HEADS)
LABELS = torch.tensor([[0, 2, -1], [1, -1, -1], [0, 0, -1], [-1, 1, -1]])


def batch(labels: Tensor = LABELS) -> Batch:
    drawn = torch.Generator().manual_seed(0)
    sizes = (3, 5, 2, 4)
    rows = torch.arange(4)
    patches = torch.randn(sum(sizes), 5, generator=drawn)
    tokens = {name: torch.randn(4, 2, 6, generator=drawn) for name in ("mrna", "cna")}
    present = {name: torch.ones(4, dtype=torch.bool) for name in tokens}
    return Batch(Bags((patches,), sizes, rows), Genes(tokens, present, rows), labels)


def networks(**changes: object) -> Networks:
    torch.manual_seed(0)
    settings = NetworkSettings.model_validate(SIZES | {"dropout": 0.0} | changes)
    return Networks(5, {"mrna": 2, "cna": 2}, CLASSES, settings)


KINDS = [
    *(("student", name) for name in STUDENTS.own_names() if STUDENTS.facts(name).heads),
    *(("genomic", n) for n in GENOMIC_TEACHERS.own_names() if GENOMIC_TEACHERS.facts(n).heads),
    *(
        ("multimodal", name)
        for name in MULTIMODAL_TEACHERS.own_names()
        if MULTIMODAL_TEACHERS.facts(name).heads
    ),
]


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_a_target_cut_out_answers_as_among_the_others(kind: str, name: str) -> None:
    changes = {"networks": (kind,), kind: name}
    if name == "experts":
        changes |= {"student": "linear", "genomic": "linear"}
    whole = networks(**changes).eval()
    for parameter in whole.parameters():  # linear networks begin at 0
        torch.nn.init.normal_(parameter, std=0.3)
    logits = whole(batch())[kind].logits
    ends = [0, *torch.tensor(CLASSES).cumsum(0).tolist()]
    for place, (start, end) in enumerate(pairwise(ends)):
        alone = whole.of_target(place)
        assert alone.n_classes == CLASSES[place]
        assert alone.architecture()["n_classes"] == CLASSES[place]
        torch.testing.assert_close(alone(batch())[kind].logits, logits[:, start:end])


def test_one_target_is_not_cut() -> None:
    alone = Networks(5, {}, 2, NetworkSettings.model_validate(SIZES | {"networks": ("student",)}))
    assert alone.of_target(0) is alone
    assert alone.heads == (2,)


def test_probabilities_of_each_target_add_up_to_1() -> None:
    answers = networks(networks=("student",)).class_probabilities(torch.randn(4, sum(CLASSES)))
    for own in torch.split(answers, list(CLASSES), dim=1):
        torch.testing.assert_close(own.sum(dim=1), torch.ones(4))


def test_the_loss_of_several_targets_is_the_weighted_mean_of_theirs() -> None:
    """By brute force, patient by patient; nobody has the third label."""
    model = networks()
    read = batch()
    terms = objective(model(read), LABELS, ObjectiveSettings(), HEADS)
    logits = model(read)["genomic"].logits
    first = -torch.log_softmax(logits[:, :2], dim=1)[[0, 1, 2], [0, 1, 0]].mean()
    softmax = torch.softmax(logits[:, 2:5], dim=1)
    cuts = [
        (softmax[0, 2], softmax[0, 1:].sum()),
        (softmax[2, 0], softmax[2, :2].sum()),
        (softmax[3, :2].sum(), softmax[3, 1:].sum()),
    ]
    second = torch.stack([-(a.log() + b.log()) / 2 for a, b in cuts]).mean()
    torch.testing.assert_close(terms["ce_genomic"], 0.25 * first + 0.5 * second)


@pytest.mark.parametrize("network", ["student", "multimodal", "genomic"])
def test_a_missing_label_moves_nothing(network: str) -> None:
    """No gradient reaches the rows of a target that nobody has, nor those of a patient's gap."""
    model = networks()
    outputs = model(batch())
    logits = outputs[network].logits
    logits.retain_grad()
    objective(outputs, LABELS, ObjectiveSettings(), HEADS)[f"ce_{network}"].backward()
    gradient = logits.grad
    assert gradient is not None
    known = torch.repeat_interleave(LABELS >= 0, torch.tensor(CLASSES), dim=1)
    assert (gradient[~known] == 0).all()
    assert (gradient[known] != 0).any(dim=0).all()


def test_nobody_with_any_label_gives_no_cross_entropy() -> None:
    model = networks(networks=("student",))
    terms = objective(model(batch()), torch.full_like(LABELS, -1), ObjectiveSettings(), HEADS)
    assert "ce_student" not in terms


def test_a_target_learnt_with_one_that_nobody_has_is_learnt_as_alone() -> None:
    """The shared layers get the gradients that they get without the other head."""
    together = networks(networks=("student",))
    alone = together.of_target(0)
    labels = LABELS.clone()
    labels[:, 1:] = -1
    heads = (Head(2), Head(3, weight=0.0), Head(2, weight=0.0))
    settings = ObjectiveSettings()
    objective(together(batch()), labels, settings, heads)["ce_student"].backward()
    objective(alone(batch()), labels[:, 0], settings)["ce_student"].backward()
    others = dict(together.named_parameters())
    for name, parameter in alone.named_parameters():
        mine, theirs = parameter.grad, others[name].grad
        assert mine is not None
        assert theirs is not None
        torch.testing.assert_close(theirs[: len(mine)], mine)


def test_two_ordered_classes_are_two_classes() -> None:
    logits, labels = torch.randn(7, 2), torch.tensor([0, 1, 1, 0, 1, 0, 0])
    plain = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(ordered_cross_entropy(logits, labels), plain)


def test_an_answer_two_classes_away_costs_more_than_one() -> None:
    sure = torch.tensor([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0], [0.0, 0.0, 5.0]])
    costs = ordered_cross_entropy(sure, torch.tensor([0, 0, 0]))
    assert costs[0] < costs[1] < costs[2]
    plain = torch.nn.functional.cross_entropy(sure, torch.tensor([0, 0, 0]), reduction="none")
    torch.testing.assert_close(plain[1], plain[2])


def test_the_ordered_loss_is_proper() -> None:
    """Of all answers the true probabilities cost least on average."""
    truth = torch.tensor([0.2, 0.5, 0.3])
    labels = torch.arange(3)

    def expected(probabilities: Tensor) -> Tensor:
        logits = probabilities.log().expand(3, 3)
        return (truth * ordered_cross_entropy(logits, labels)).sum()

    least = expected(truth)
    for seed in range(50):
        drawn = torch.Generator().manual_seed(seed)
        other = torch.softmax(truth.log() + 0.3 * torch.randn(3, generator=drawn), dim=0)
        assert expected(other) > least
