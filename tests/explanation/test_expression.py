"""Programmes and genes in the tissue: values by hand, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control
from scipy.stats import t as student_t

from histodistill.errors import InputError
from histodistill.explanation.expression import explain_expression
from histodistill.explanation.predictability import predictability, predictable_programmes
from histodistill.features import BagStore, open_bags
from tests.deploy.bundles import bags_of, bundle, member
from tests.explanation.programme_bundles import GENE_R, GENES, PROGRAMME_SD, programme_member


def values(store: BagStore, own, patient: str = "A"):
    """Programmes and genes of a member, by hand."""
    bag = store.bag(patient).double()
    read = own.transforms.programmes
    programmes = bag @ read.weight.double() + read.bias.double()
    return programmes, programmes @ read.genes.weight.double()


def test_values_are_those_of_the_map_and_average_to_the_prediction(tmp_path: Path) -> None:
    store, own = bags_of(tmp_path, ["A", "B"]), programme_member()
    (found,) = explain_expression(bundle(own), store, ["GATA3", "cna:ERBB2"], patients=["A"])
    assert [layer.name for layer in found.layers] == [
        *("programme 1", "programme 2"),
        *("mrna:GATA3", "cna:ERBB2"),
    ]
    programmes, genes = values(store, own)
    np.testing.assert_allclose(found.values[:, 2:], genes[:, [1, 4]], atol=1e-4)
    in_units = (programmes[:, :2] / torch.tensor(PROGRAMME_SD[:2])).abs()
    np.testing.assert_allclose(np.abs(found.values[:, :2]), in_units, atol=1e-4)
    read = own.transforms.programmes
    assert read is not None
    assert read.genes is not None
    mean = read.transform(store.bag("A").mean(dim=0, keepdim=True))
    predicted = read.genes.of(mean, [1])
    assert found.values[:, 2].mean() == pytest.approx(float(predicted), abs=1e-4)
    (slide,) = found.slides
    assert list(found.of_slide(slide)) == [layer.name for layer in found.layers]


def test_members_are_averaged_whatever_the_order_and_sign_of_their_programmes(
    tmp_path: Path,
) -> None:
    store = bags_of(tmp_path, ["A"])
    first, other = programme_member(), programme_member((2, 0, 1), (1, -1, -1))
    (alone,) = explain_expression(bundle(first), store, ["GATA3"])
    (both,) = explain_expression(bundle(first, other), store, ["GATA3"])
    np.testing.assert_allclose(both.values, alone.values, atol=1e-4)
    assert all(layer.agreement == pytest.approx(1) for layer in both.layers)


def test_programmes_that_members_do_not_share_are_not_shown() -> None:
    first, other = programme_member(), programme_member()
    told = other.transforms.programmes
    assert told is not None
    assert told.genes is not None
    _, _, right = np.linalg.svd(told.genes.weight.numpy())
    weight = torch.from_numpy(right[3:])  # of no gene in common with the first member's
    told.genes = replace(told.genes, weight=weight)
    found = predictable_programmes(bundle(first, other))
    assert not any(programme.shown for programme in found)
    assert all(programme.agreement < 0.01 for programme in found)


def test_a_programme_is_named_by_its_genes_that_rise_with_it(tmp_path: Path) -> None:
    own = programme_member()
    first, *_ = predictable_programmes(bundle(own))
    weight = own.transforms.programmes.genes.weight[0].numpy()  # type: ignore[union-attr]
    strongest = np.argsort(-np.abs(weight))
    turn = np.sign(weight.sum())
    expected = [f"{'+' if turn * weight[g] > 0 else '-'}{GENES[g]}" for g in strongest]
    assert list(first.genes) == expected
    store = bags_of(tmp_path, ["A"])
    (found,) = explain_expression(bundle(own), store)
    programmes, _ = values(store, own)
    np.testing.assert_allclose(found.values[:, 0], turn * programmes[:, 0] / 0.5, atol=1e-4)


def test_the_table_has_intervals_and_corrected_p_values() -> None:
    table = predictability(bundle(programme_member())).set_index("name")
    genes = table.loc[list(GENES)]
    r = np.array(GENE_R)
    p = student_t.sf(r * np.sqrt(198 / (1 - r**2)), 198)
    np.testing.assert_allclose(genes["q"], false_discovery_control(p), rtol=1e-4)
    assert genes["shown"].tolist() == [True, True, False, True, True, True]
    margin = 1.959964 / np.sqrt(197)
    np.testing.assert_allclose(genes["low"], np.tanh(np.arctanh(r) - margin), atol=1e-6)
    assert table.index[0] == "programme 1"
    assert not table.loc["programme 3", "shown"]


@pytest.mark.parametrize(
    ("genes", "sentences"),
    [
        (["MKI67"], ["mrna:MKI67 is not predicted from slides above chance", "r = 0.02 ["]),
        (["ERBB2"], ["ERBB2 is in several blocks: write mrna:ERBB2 or cna:ERBB2"]),
        (["GATA33"], ["the bundle reads no gene GATA33; did you mean GATA3"]),
        (["MKI67", "NONE"], ["mrna:MKI67 is not predicted", "no gene NONE"]),
    ],
)
def test_genes_that_may_not_be_drawn_are_refused(
    tmp_path: Path, genes: list[str], sentences: list[str]
) -> None:
    store = bags_of(tmp_path, ["A"])
    with pytest.raises(InputError) as refused:
        next(explain_expression(bundle(programme_member()), store, genes))
    said = " ".join(refused.value.problems)
    for sentence in sentences:
        assert sentence in said


def test_a_bundle_that_predicts_no_expression_says_so(tmp_path: Path) -> None:
    store = bags_of(tmp_path, ["A"])
    for own in (member(), programme_member(predicted=False)):
        with pytest.raises(InputError, match="predicts no expression"):
            next(explain_expression(bundle(own), store, ["GATA3"]))
        assert list(explain_expression(bundle(own), store)) == []
        assert len(predictability(bundle(own))) == 0


def test_members_of_whom_one_predicts_nothing_predict_nothing() -> None:
    mixed = bundle(programme_member(), programme_member(predicted=False))
    assert len(predictability(mixed)) == 0


def test_large_bags_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "A.npy", np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32))
    store = open_bags({"A": [tmp_path / "A.npy"]})
    (whole,) = explain_expression(bundle(programme_member()), store)
    monkeypatch.setattr("histodistill.explanation.expression._CHUNK", 7)
    (parts,) = explain_expression(bundle(programme_member()), store)
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-5)
    assert torch.from_numpy(parts.values).shape == (50, 2)
