"""The numbers of the authors' code: features, logits, losses and gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from histodistill.deploy.authors_layout import read_authors_checkpoint
from histodistill.model import (
    NETWORKS,
    Bags,
    Batch,
    Fusion,
    Genes,
    Networks,
    NetworkSettings,
    ObjectiveSettings,
    objective,
    to_tokens,
)
from tests.reference import reference_batch, reference_state

pytestmark = pytest.mark.shared

TERMS = ("orthogonality", "alignment", "similarity", "collaboration")


def reference_networks(folder: Path, tmp_path: Path, fusion: Fusion) -> Networks:
    networks = Networks(1024, {"mrna": 16}, 2, NetworkSettings(fusion=fusion))
    for name in NETWORKS:
        key = f"multimodal_{fusion}" if name == "multimodal" else name
        torch.save(reference_state(folder, key), tmp_path / f"{name}.pt")
        translated = read_authors_checkpoint(tmp_path / f"{name}.pt", name, "mrna")
        networks.get_submodule(name).load_state_dict(translated.weights)
    return networks.eval()


def as_batch() -> Batch:
    bags, genes, labels = reference_batch()
    rows = torch.arange(16)
    return Batch(
        Bags((torch.from_numpy(np.concatenate(bags)),), tuple(len(bag) for bag in bags), rows),
        Genes({"mrna": to_tokens(genes, 512)}, {"mrna": torch.ones(16, dtype=torch.bool)}, rows),
        torch.from_numpy(labels),
    )


@pytest.fixture(params=["bilinear", "concat"])
def fusion(request: pytest.FixtureRequest) -> Fusion:
    chosen: Fusion = request.param
    return chosen


def test_features_logits_and_losses(shared_data: Path, tmp_path: Path, fusion: Fusion) -> None:
    expected = np.load(shared_data / "reference/mkd_reference.npz")
    networks = reference_networks(shared_data / "reference", tmp_path, fusion)
    batch = as_batch()
    with torch.inference_mode():
        outputs = networks(batch)
        terms = objective(outputs, batch.labels, ObjectiveSettings())

    for name, output in outputs.items():
        for figure, value in (("features", output.features), ("logits", output.logits)):
            reference = expected[f"{fusion}/{name}_{figure}"]
            np.testing.assert_allclose(
                value, reference, rtol=1e-5, atol=1e-5 * np.abs(reference).max()
            )
        assert terms[f"ce_{name}"].item() == pytest.approx(
            float(expected[f"{fusion}/loss/ce_{name}"]), rel=1e-5
        )
    for term in TERMS:
        theirs = "collaborative" if term == "collaboration" else term
        assert terms[term].item() == pytest.approx(
            float(expected[f"{fusion}/loss/{theirs}"]), rel=1e-5
        )
    total = sum(term.item() for term in terms.values())
    assert total == pytest.approx(float(expected[f"{fusion}/loss/total"]), rel=1e-5)


def test_gradient_norms(shared_data: Path, tmp_path: Path, fusion: Fusion) -> None:
    expected = np.load(shared_data / "reference/mkd_reference.npz")
    networks = reference_networks(shared_data / "reference", tmp_path, fusion)
    batch = as_batch()
    terms = objective(networks(batch), batch.labels, ObjectiveSettings())
    torch.stack(list(terms.values())).sum().backward()

    ours = {name: parameter.grad for name, parameter in networks.named_parameters()}
    assert all(gradient is not None for gradient in ours.values())
    norms = {
        key.removeprefix(f"{fusion}/grad_norm/"): float(expected[key])
        for key in expected.files
        if key.startswith(f"{fusion}/grad_norm/")
    }
    for name, gradient in ours.items():
        assert gradient is not None
        theirs = theirs_of(name, fusion)
        # V and U are one matrix here and two there.
        for old, part in zip(theirs, gradient.chunk(len(theirs)), strict=True):
            # The score's bias has no gradient but rounding: a softmax ignores a shift.
            assert part.double().norm().item() == pytest.approx(norms.pop(old), rel=1e-4, abs=1e-6)
    # What is left has no gradient in their code: parameters that they never use.
    assert all(value == 0 for value in norms.values())


def theirs_of(name: str, fusion: Fusion) -> list[str]:
    """Names, in the reference file, of the parameters that make up one of ours."""
    from histodistill.deploy import authors_layout as layout

    network, parameter = name.split(".", 1)
    tables = {
        "student": layout._STUDENT,
        "genomic": layout._GENOMIC,
        "multimodal": layout._MULTIMODAL
        | (layout._CONCAT if fusion == "concat" else layout._BILINEAR),
    }
    translation = layout._translation(tables[network], network, "mrna")  # type: ignore[arg-type]
    stem = f"multimodal_{fusion}" if network == "multimodal" else network
    return [f"{stem}.{old}" for old in translation[parameter]]
