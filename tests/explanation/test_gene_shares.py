"""What genes brought: complete, exact for linear networks, and as captum has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients

from histodistill.errors import InputError
from histodistill.explanation.gene_shares import explain_genes, token_shares
from histodistill.inference import Member
from histodistill.model import Genes, NetworkName, Networks, NetworkSettings
from histodistill.model.registries import GENOMIC_TEACHERS, MULTIMODAL_TEACHERS
from histodistill.preparation import PreparedPatients
from tests.deploy.bundles import GENES, TOKENS, WIDTH, bags_of, bundle, expression, member

PATIENTS = ["A", "B", "C"]


def made(classes: int = 2, seed: int = 3, **settings: Any) -> Member:
    torch.manual_seed(seed)
    chosen = NetworkSettings(
        **{"networks": ("genomic",)} | settings,
        width=8,
        attention_width=4,
        token_size=16,
        fusion_width=4,
    )
    width = WIDTH if chosen.reads_slides else None
    networks = Networks(width, {"mrna": TOKENS}, classes, chosen)
    with torch.no_grad():
        for weights in networks.parameters():
            weights.normal_(0, 0.4)
    return Member(networks.eval(), member(seed).transforms, {})


def log_odds(own: Member, network: NetworkName, bags=None) -> np.ndarray:
    scaled = own.transforms.scaled({"mrna": expression(PATIENTS)})
    prepared = PreparedPatients(bags, scaled, own.transforms, 16)
    with torch.no_grad():
        outputs = own.networks(prepared.batch(PATIENTS, device=torch.device("cpu")))
    logits = outputs[network].logits.double()
    odds: np.ndarray = (logits[:, 1] - logits[:, 0]).numpy()
    return odds


def check(found, expected: np.ndarray) -> None:
    moved = np.abs(expected - found.constant)
    scale = np.maximum(moved, moved.mean())
    told = found.constant + found.shares.sum(axis=1)
    assert (np.abs(told - expected) <= 0.01 * scale + 1e-5).all()


@pytest.mark.parametrize("name", GENOMIC_TEACHERS.names())
def test_every_genomic_teacher_is_explained_completely(name: str) -> None:
    own = made(genomic=name)
    (found,) = explain_genes(bundle(own), {"mrna": expression(PATIENTS)})
    assert found.network == "genomic"
    assert set(found.genes) == {f"mrna:{gene}" for gene in GENES}
    assert (found.way == "exact") == (name == "linear")
    assert found.gap <= 0.01
    check(found, log_odds(own, "genomic"))


@pytest.mark.parametrize("name", MULTIMODAL_TEACHERS.names())
def test_every_multimodal_teacher_is_explained_completely(name: str, tmp_path: Path) -> None:
    bags = bags_of(tmp_path, PATIENTS)
    own = made(networks=("multimodal",), multimodal=name)
    (found,) = explain_genes(bundle(own), {"mrna": expression(PATIENTS)}, bags)
    assert found.network == "multimodal"
    assert found.gap <= 0.01
    check(found, log_odds(own, "multimodal", bags))


def test_shares_in_a_linear_network_are_weight_times_gene() -> None:
    own = made(genomic="linear")
    (found,) = explain_genes(bundle(own), {"mrna": expression(PATIENTS)})
    scaled = own.transforms.scaled({"mrna": expression(PATIENTS)})["mrna"].to_numpy()
    weights = own.networks.state_dict()["genomic.classifier.1.weight"].numpy()
    weight = (weights[1] - weights[0])[: len(GENES)]
    np.testing.assert_allclose(found.shares, scaled * weight / np.sqrt(2 * 16), atol=1e-5)
    np.testing.assert_allclose(found.values, scaled, atol=1e-6)


def test_integrated_gradients_are_those_of_captum() -> None:
    network = made(genomic="snn").networks.genomic
    assert network is not None
    torch.manual_seed(0)
    tokens = torch.randn(4, TOKENS, 16)
    present = {"mrna": torch.ones(4, dtype=torch.bool)}

    def answer(given: torch.Tensor) -> torch.Tensor:
        logits = network(Genes({"mrna": given}, present, torch.arange(4))).logits
        margin: torch.Tensor = logits[:, 1] - logits[:, 0]
        return margin

    ours = token_shares(lambda own: answer(own["mrna"]), {"mrna": tokens})
    theirs = IntegratedGradients(answer).attribute(
        tokens, n_steps=500, internal_batch_size=4, method="gausslegendre"
    )
    size = float(theirs.abs().max())
    np.testing.assert_allclose(ours.shares["mrna"], theirs, atol=0.01 * size)
    assert not ours.straight


def test_members_are_averaged_and_need_not_read_the_same_genes() -> None:
    first, second = made(genomic="linear"), made(genomic="linear", seed=4)
    block = second.transforms.blocks["mrna"]
    block.genes_ = [f"OTHER{i}" if i < 5 else gene for i, gene in enumerate(block.genes_)]
    names = [*GENES, *(f"OTHER{i}" for i in range(5))]
    table = expression(PATIENTS, names)
    (found,) = explain_genes(bundle(first, second), {"mrna": table})
    assert len(found.genes) == 25
    assert np.isnan(found.by_member).sum(axis=1).tolist() == [5, 5]
    (alone,) = explain_genes(bundle(first), {"mrna": table})
    (other,) = explain_genes(bundle(second), {"mrna": table})
    total = (alone.shares.sum(axis=1) + other.shares.sum(axis=1)) / 2
    np.testing.assert_allclose(found.shares.sum(axis=1), total, atol=1e-6)


def test_three_classes_are_explained_one_by_one() -> None:
    own = made(3, genomic="tokens")
    found = explain_genes(
        bundle(own, classes=("a", "b", "c")), {"mrna": expression(PATIENTS)}, patients=["B"]
    )
    assert [each.target for each in found] == [0, 1, 2]
    np.testing.assert_allclose(sum(each.constant for each in found), 0, atol=1e-5)


def test_a_network_that_jumps_is_told_by_its_gap() -> None:
    found = token_shares(lambda own: (own["mrna"] > 0.5).sum(dim=(1, 2)) + 0 * own["mrna"].sum(),
                         {"mrna": torch.ones(1, 1, 3)})  # fmt: skip
    assert found.gap > 0.5


def test_models_without_genes_and_patients_without_them_are_refused(tmp_path: Path) -> None:
    student = member(networks=("student",))
    with pytest.raises(InputError, match="no network of this model reads genes"):
        explain_genes(bundle(student), {"mrna": expression(PATIENTS)})
    paired_alone = made(networks=("multimodal",), multimodal="mkd")
    with pytest.raises(InputError, match="nobody has the genes"):
        explain_genes(bundle(paired_alone), {"mrna": expression(PATIENTS)})
