"""The linear networks: logistic regression on the mean patch, on all genes, and on both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from histodistill.experiment.methods import MethodSettings
from histodistill.experiment.recipes import merged, recipes
from histodistill.model import Genes, Networks, NetworkSettings, Output
from histodistill.model.registries import DISTILLERS
from histodistill.model.shape import Shape
from histodistill.model.students.linear import LinearStudent
from histodistill.model.teachers.genomic.linear import LinearGenomicTeacher
from histodistill.model.teachers.multimodal.linear import LinearMultimodalTeacher
from tests.model.batches import SMALL, TOKEN_SIZE, WIDTH, bags, genes, gradients

BLOCKS = {"mrna": 3, "cna": 2}
N_GENES = 5 * TOKEN_SIZE
SIZES = {0: 5, 1: 1, 2: 17}
ABSENT = {"cna": (1,), "mrna": (2,)}
LINEAR = {"student": "linear", "multimodal": "linear", "genomic": "linear"}


def drawn(network: nn.Module) -> nn.Module:
    """The network with random weights: those it starts from are 0."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    return network.double().eval()


def student(n_classes: int = 2, settings: NetworkSettings = SMALL) -> nn.Module:
    return drawn(LinearStudent(Shape(n_classes, settings, WIDTH)))


def genomic(n_classes: int = 2, settings: NetworkSettings = SMALL) -> nn.Module:
    return drawn(LinearGenomicTeacher(Shape(n_classes, settings, blocks=BLOCKS)))


def multimodal(n_classes: int = 2, settings: NetworkSettings = SMALL) -> nn.Module:
    return drawn(LinearMultimodalTeacher(Shape(n_classes, settings, WIDTH, BLOCKS)))


def regression(network: nn.Module, values: Sequence[Sequence[float]]) -> Tensor:
    """Logits of logistic regression, by a loop."""
    weight = network.get_parameter("classifier.1.weight").tolist()
    bias = network.get_parameter("classifier.1.bias").tolist()
    return torch.tensor(
        [
            [
                sum(w * x for w, x in zip(own, row, strict=True)) + b
                for own, b in zip(weight, bias, strict=True)
            ]
            for row in values
        ],
        dtype=torch.float64,
    )


def gene_rows(some: Genes) -> list[list[float]]:
    """All genes of each patient, those of an absent block 0, over the root of their number."""
    rows = []
    for row in range(len(some.rows)):
        own: list[float] = []
        for name, block in some.tokens.items():
            values = block[row].flatten().tolist()
            own += values if some.present[name][row] else [0.0] * len(values)
        rows.append([value / math.sqrt(N_GENES) for value in own])
    return rows


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_equations_of_the_student(n_classes: int) -> None:
    network, some = student(n_classes), bags({1: 5, 4: 1, 6: 70})
    output: Output = network(some)
    means = [bag.numpy().mean(axis=0) / math.sqrt(WIDTH) for bag in some.split()]
    np.testing.assert_allclose(output.features.numpy(), np.stack(means))
    expected = regression(network, [mean.tolist() for mean in means])
    torch.testing.assert_close(output.logits, expected)
    assert output.rows.tolist() == [1, 4, 6]
    assert output.auxiliary is None


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_equations_of_the_genomic_teacher(n_classes: int) -> None:
    network, some = genomic(n_classes), genes((0, 1, 2, 5), BLOCKS, ABSENT)
    output: Output = network(some)
    expected = gene_rows(some)
    torch.testing.assert_close(output.features, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(output.logits, regression(network, expected))
    assert output.rows.tolist() == [0, 1, 2, 5]


def test_the_multimodal_teacher_adds_the_logits_of_both() -> None:
    network = multimodal()
    assert isinstance(network, LinearMultimodalTeacher)
    # Patient 4 has no genes and patient 7 no slides.
    some_bags, some_genes = bags({**SIZES, 4: 3}), genes((0, 1, 2, 7), BLOCKS, ABSENT)
    output: Output = network(some_bags, some_genes)
    assert output.rows.tolist() == [0, 1, 2]
    slide, gene = network.slide(some_bags), network.genomic(some_genes)
    torch.testing.assert_close(output.logits, slide.logits[:3] + gene.logits[:3])
    features = torch.cat([slide.features[:3], gene.features[:3]], dim=1)
    assert output.features.equal(features)
    # One logistic regression on the features, as its student and its teacher are.
    parts = (network.slide, network.genomic)
    weight = torch.cat([part.get_parameter("classifier.1.weight") for part in parts], dim=1)
    bias = torch.stack([part.get_parameter("classifier.1.bias") for part in parts]).sum(dim=0)
    torch.testing.assert_close(output.logits, features @ weight.T + bias)


def test_blocks_are_told_apart_by_name_not_by_place() -> None:
    network, some = genomic(), genes((0, 1, 2, 5), BLOCKS, ABSENT)
    turned = replace(
        some,
        tokens=dict(reversed(some.tokens.items())),
        present=dict(reversed(some.present.items())),
    )
    assert list(turned.tokens) == ["cna", "mrna"]
    assert torch.equal(network(turned).logits, network(some).logits)


def test_the_order_of_patches_does_not_count() -> None:
    network, some = student(), bags({0: 9})
    turned = replace(some, parts=(some.stored.flip(0),))
    torch.testing.assert_close(network(turned).logits, network(some).logits)


@pytest.mark.parametrize("network", ["student", "genomic", "multimodal"])
def test_training_starts_from_equal_probabilities_and_moves_every_weight(network: str) -> None:
    settings = SMALL.model_copy(update={**LINEAR, "networks": (network,)})
    made = Networks(WIDTH, BLOCKS, 3, settings).double().get_submodule(network)
    both = {
        "student": (bags(SIZES),),
        "genomic": (genes(tuple(SIZES), BLOCKS),),
        "multimodal": (bags(SIZES), genes(tuple(SIZES), BLOCKS)),
    }[network]
    logits = made(*both).logits
    assert torch.equal(logits, torch.zeros(3, 3, dtype=torch.float64))
    cross_entropy(logits, torch.tensor([0, 1, 1])).backward()
    for name, gradient in gradients(made).items():
        assert gradient.abs().amax(dim=-1).min() > 0 or name.endswith("bias"), name
        assert gradient.abs().max() > 0, name


def test_networks_of_any_width_learn_at_the_same_rate() -> None:
    """The same signal in every feature: a step of all weights moves logits as the root of them."""
    moves = []
    for copies in (1, 4):
        network = LinearStudent(Shape(2, SMALL, WIDTH * copies)).double()
        some = bags({0: 3})
        output = network(replace(some, parts=(some.stored.repeat(1, copies),)))
        moves.append(float(output.features.square().sum()))
    assert moves[0] == pytest.approx(moves[1])


@pytest.mark.parametrize("build", [student, genomic, multimodal])
def test_dropout_is_of_the_inputs_and_for_training_alone(build: Callable[..., nn.Module]) -> None:
    network = build(settings=SMALL.model_copy(update={"dropout": 0.5}))
    read = {
        student: (bags(SIZES),),
        genomic: (genes(tuple(SIZES), BLOCKS),),
        multimodal: (bags(SIZES), genes(tuple(SIZES), BLOCKS)),
    }[build]
    before = network(*read)
    assert torch.equal(network(*read).logits, before.logits)
    network.train()
    during = network(*read)
    assert not torch.equal(during.logits, before.logits)
    assert torch.equal(during.features, before.features)


def settings_of(recipe: str = "mkd", **changes: Mapping[str, object]) -> MethodSettings:
    raw = merged(recipes()[recipe].changes, changes)
    return MethodSettings.model_validate({"recipe": recipe} | raw)


def refusal(recipe: str = "mkd", **changes: Mapping[str, object]) -> str:
    with pytest.raises(ValidationError) as refused:
        settings_of(recipe, **changes)
    (problem,) = refused.value.errors()
    return str(problem["msg"]).removeprefix("Value error, ")


def test_shrinkage_is_the_penalty_of_logistic_regression() -> None:
    """Trained to the end under the loss that it adds, it is scikit-learn's with C = 1 / (n s)."""
    rng = np.random.default_rng(0)
    n, shrinkage = 60, 0.2
    means = rng.normal(size=(n, WIDTH))
    labels = (means[:, 0] + rng.normal(size=n) > 0).astype(np.int64)
    plain = SMALL.model_copy(update={"shrinkage": shrinkage, "dropout": 0.0})
    own = LinearStudent(Shape(2, plain, WIDTH)).double().train()
    inputs, truth = torch.from_numpy(means), torch.from_numpy(labels)
    optimizer = torch.optim.LBFGS(own.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        output = own.answer(inputs, torch.arange(n))
        assert output.auxiliary is not None
        total = cross_entropy(output.logits, truth) + output.auxiliary
        total.backward()
        return total

    optimizer.step(loss)
    expected = LogisticRegression(C=1 / (n * shrinkage), tol=1e-10, max_iter=1000)
    expected.fit(means, labels)
    weight, bias = own.get_parameter("classifier.1.weight"), own.get_parameter("classifier.1.bias")
    found = ((weight[1] - weight[0]) / math.sqrt(WIDTH)).detach().numpy()
    np.testing.assert_allclose(found, expected.coef_[0], rtol=1e-3, atol=1e-4)
    assert float((bias[1] - bias[0]).detach()) == pytest.approx(expected.intercept_[0], abs=1e-3)


def test_answers_are_not_penalised() -> None:
    shrunken = SMALL.model_copy(update={"shrinkage": 0.3})
    assert student(settings=shrunken)(bags(SIZES)).auxiliary is None
    assert student()(bags(SIZES)).auxiliary is None


WHY = "needs features of `network.width`, which `linear` does not have; set it to 0"


@pytest.mark.parametrize("network", ["student", "multimodal", "genomic"])
def test_features_of_another_width_are_not_decomposed(network: str) -> None:
    assert refusal(network={network: "linear"}) == (
        f"`objective.orthogonality` {WHY}; `objective.alignment` {WHY}"
    )
    only = {"orthogonality": 0, "alignment": 0}
    assert settings_of(network={network: "linear"}, objective=only).objective.similarity == 1
    # Where it is not trained, or trained alone, nothing is compared with it.
    others = tuple({"student", "multimodal", "genomic"} - {network})
    monitor = {"monitor": "loss"}
    settings_of(network={network: "linear", "networks": others}, training=monitor)
    settings_of(network={network: "linear", "networks": (network,)}, training=monitor)


def outputs(width: int, seed: int) -> Output:
    generator = torch.Generator().manual_seed(seed)
    return Output(
        torch.randn(5, width, generator=generator),
        torch.randn(5, 2, generator=generator),
        torch.arange(5),
    )


@pytest.mark.parametrize("name", DISTILLERS.names())
def test_ways_to_distil_that_need_one_width_are_refused_and_no_others(
    name: str,
) -> None:
    """Those and only those that cannot be computed between features of two widths."""
    network: dict[str, object] = {"student": "linear", "width": 8}
    try:
        DISTILLERS.load(name)(8, 2)(outputs(6, 0), outputs(80, 1), torch.tensor([0, 1, 1, 0, -1]))
    except RuntimeError:
        assert refusal(name, network=network) == f"`objective.distillation.{name}` {WHY}"
        off = {"distillation": {name: 0}}
        assert settings_of(name, network=network, objective=off).objective.distillation == {}
    else:
        assert settings_of(name, network=network).network.student == "linear"


def test_a_teacher_that_does_not_teach_may_have_another_width() -> None:
    network: dict[str, object] = {"genomic": "linear"}
    assert refusal("fitnet", network=network).startswith("`objective.distillation.fitnet`")
    settings_of("fitnet", network=network, objective={"teachers": ("multimodal",)})


def test_reconstruction_reads_features_of_the_networks_width() -> None:
    problem = refusal("linear", objective={"reconstruction": 1})
    assert problem == f"`objective.reconstruction` {WHY}"


def test_experts_need_both_experts_and_their_features_are_of_no_common_width() -> None:
    experts: dict[str, object] = {"multimodal": "experts"}
    assert refusal(network=experts).startswith("`objective.orthogonality`")
    assert refusal(
        network={**experts, "networks": ("student", "multimodal")},
        objective={"orthogonality": 0, "alignment": 0},
        training={"offline": True},
    ) == (
        "`network.multimodal: experts` with `offline: true` is made of the student and the "
        "genomic teacher: train `genomic` as well"
    )


@pytest.mark.parametrize("recipe", recipes())
def test_no_recipe_is_refused(recipe: str) -> None:
    assert settings_of(recipe).recipe == recipe
