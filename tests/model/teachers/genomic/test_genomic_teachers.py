"""Networks on genes alone: the equations, and what all of them have in common."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, elu

from histodistill.model import Batch, Genes, Output
from histodistill.model.building import build_genomic_teacher
from histodistill.model.layers.attention import GatedAttention
from histodistill.model.layers.self_normalising import SelfNormalisingNetwork
from histodistill.model.registries import GENOMIC_TEACHERS
from histodistill.model.shape import Shape
from histodistill.model.teachers.genomic.branches import BranchedTeacher
from histodistill.model.teachers.genomic.snn import SNN
from tests.model.batches import SMALL, TOKEN_SIZE, alone, genes, gradients
from tests.model.teachers.multimodal.equations import all_genes, linear, pooled

NAMES: tuple[str, ...] = GENOMIC_TEACHERS.names()
BLOCKS = {"mrna": 3, "cna": 2}
#: Patient 1 lacks copy number, patient 2 expression.
ABSENT = {"cna": (1,), "mrna": (2,)}
every_name = pytest.mark.parametrize("name", NAMES)
WITHOUT_EFFECT = ".score.bias"  # a softmax ignores it


def teacher(name: str, n_classes: int = 2, **changes: object) -> nn.Module:
    torch.manual_seed(0)
    settings = SMALL.model_copy(update={"genomic": name, **changes})
    network = build_genomic_teacher(Shape(n_classes, settings, blocks=BLOCKS)).double().eval()
    if name == "linear":  # its weights start from 0, where nothing can be told apart
        for parameter in network.parameters():
            nn.init.normal_(parameter)
    return network


def patients() -> Genes:
    return genes((0, 1, 2, 5), BLOCKS, ABSENT)


def answer(network: nn.Module, some: Genes) -> Output:
    output: Output = network(some)
    return output


def test_every_name_has_its_network() -> None:
    for name in NAMES:
        own = GENOMIC_TEACHERS.facts_of(GENOMIC_TEACHERS.load(name))
        assert own == GENOMIC_TEACHERS.facts(name)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_equations_of_snn(n_classes: int) -> None:
    network = teacher("snn", n_classes)
    assert isinstance(network, SNN)
    some = patients()
    output = answer(network, some)
    tokens = torch.cat(list(some.tokens.values()), dim=1) * some.mask()[..., None]
    features = torch.stack([all_genes(network.genes, own) for own in tokens])
    torch.testing.assert_close(output.features, features)
    torch.testing.assert_close(output.logits, linear(network.classifier, features))
    assert output.rows.tolist() == [0, 1, 2, 5]


def test_snn_reads_every_gene_of_every_block() -> None:
    network = teacher("snn")
    first = network.get_parameter("genes.layers.0.0.weight")
    assert first.shape == (8, sum(BLOCKS.values()) * TOKEN_SIZE)
    some = genes((0,), BLOCKS)
    tokens = {name: block.clone().requires_grad_() for name, block in some.tokens.items()}
    answer(network, replace(some, tokens=tokens)).logits[0, 0].backward()
    for block in tokens.values():
        assert block.grad is not None
        assert (block.grad != 0).all()


def test_self_normalising_layers_keep_mean_and_variance() -> None:
    """Klambauer et al.: activations stay near mean 0 and variance 1, dropout included."""
    network = teacher("snn", width=256, token_size=512, dropout=0.25).float().train()
    some = torch.randn(500, 5, 512)
    everyone = torch.ones(500, dtype=torch.bool)
    features = answer(
        network,
        Genes(
            {"mrna": some[:, :3], "cna": some[:, 3:]},
            {"mrna": everyone, "cna": everyone},
            torch.arange(500),
        ),
    ).features
    assert abs(features.mean()) < 0.4
    assert 0.5 < features.var() < 1.5


def test_widths_of_a_self_normalising_network() -> None:
    network = SelfNormalisingNetwork(BLOCKS, (7, 3), SMALL).double()
    assert network(patients()).shape == (4, 3)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_the_equations_of_branches(n_classes: int) -> None:
    network = teacher("branches", n_classes)
    assert isinstance(network, BranchedTeacher)
    some = patients()
    features = []
    for row in range(4):
        branches = [
            branch(network, name, some.tokens[name][row])
            for name in BLOCKS
            if some.present[name][row]
        ]
        features.append(pooled(network.attention, torch.stack(branches)))
    output = answer(network, some)
    torch.testing.assert_close(output.features, torch.stack(features))
    classifier = network.classifier[1]
    torch.testing.assert_close(output.logits, linear(classifier, torch.stack(features)))


def branch(network: BranchedTeacher, block: str, tokens: Tensor) -> Tensor:
    attention = network.branches[block]
    assert isinstance(attention, GatedAttention)
    return pooled(attention, elu(linear(network.tokens.blocks[block], tokens)))


def test_the_branch_of_a_block_that_nobody_has_is_not_trained() -> None:
    network = teacher("branches")
    output = answer(network, genes((0, 1), BLOCKS, {"cna": (0, 1)}))
    cross_entropy(output.logits, torch.tensor([0, 1])).backward()
    for name, gradient in gradients(network).items():
        if "cna" in name:
            assert (gradient == 0).all(), name
    assert gradients(network)["branches.mrna.gate.weight"].abs().max() > 0


@every_name
def test_gradients_reach_all_parameters(name: str) -> None:
    network = teacher(name).train()
    output = answer(network, patients())
    cross_entropy(output.logits, torch.tensor([0, 1, 1, 0])).backward()
    for parameter, gradient in gradients(network).items():
        assert gradient.isfinite().all(), parameter
        if not parameter.endswith(WITHOUT_EFFECT):
            assert gradient.abs().max() > 0, parameter


@every_name
def test_batch_mates_do_not_matter(name: str) -> None:
    network = teacher(name)
    some = genes((0, 1, 2, 3), BLOCKS, ABSENT)
    together = answer(network, some)
    batch = Batch(None, some, torch.zeros(4, dtype=torch.int64))
    for row in range(4):
        single = alone(batch, row).genes
        assert single is not None
        torch.testing.assert_close(answer(network, single).logits[0], together.logits[row])


@every_name
def test_a_missing_block_does_not_matter_whatever_it_holds(name: str) -> None:
    network = teacher(name)
    some = patients()
    before = answer(network, some)
    changed = {block: values.clone() for block, values in some.tokens.items()}
    for block, lacking in ABSENT.items():
        changed[block][list(lacking)] = 100.0
    assert torch.equal(before.logits, answer(network, replace(some, tokens=changed)).logits)
    present = {block: torch.ones(4, dtype=torch.bool) for block in BLOCKS}
    measured = answer(network, replace(some, present=present))
    same = [torch.equal(*both) for both in zip(before.logits, measured.logits, strict=True)]
    assert same == [True, False, False, True]


@every_name
def test_dropout_is_for_training_alone(name: str) -> None:
    network = teacher(name, dropout=0.5)
    some = patients()
    assert torch.equal(answer(network, some).logits, answer(network, some).logits)
    network.train()
    assert not torch.equal(answer(network, some).logits, answer(network, some).logits)
