"""Scale in training x scale at prediction x patients: refused, told, or left in peace."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from histodistill.genomics import GenomicPreprocessor, SelectionSettings
from histodistill.genomics.reference import GeneReference, compare

GENES = 240
_rng = np.random.default_rng(0)
LEVEL, SPREAD = _rng.normal(7, 2.5, GENES), _rng.uniform(0.5, 1.5, GENES)
RAW, LOG, CENTRED = ("counts", "tpm"), ("log2", "ln", "log10", "log_of_log"), ("z",)


def frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        values,
        index=[f"P{i}" for i in range(len(values))],
        columns=[f"G{i}" for i in range(values.shape[1])],
    )


def abundances(seed: int, n: int, batch: float = 0.0) -> np.ndarray:
    """Lognormal over genes and patients, with a shift of each gene by ``batch`` of its spreads."""
    rng = np.random.default_rng(seed)
    shift = batch * rng.standard_normal(GENES)
    return 2 ** (LEVEL + SPREAD * (rng.standard_normal((n, GENES)) + shift))


@cache
def scales(seed: int, n: int, batch: float = 0.0) -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    expressed = abundances(seed, n, batch)
    depth = 20 * rng.lognormal(0, 0.3, (n, 1))
    tpm = 1e5 * expressed / expressed.sum(axis=1, keepdims=True)
    log2 = np.log2(tpm + 1)
    others = abundances(1000, 300)
    reference = np.log2(1e5 * others / others.sum(axis=1, keepdims=True) + 1)
    made = {
        # Negative binomial: Poisson around a gamma.
        "counts": rng.poisson(expressed * depth * rng.gamma(10, 0.1, expressed.shape)),
        "tpm": tpm,
        "log2": log2,
        "ln": np.log(tpm + 1),
        "log10": np.log10(tpm + 1),
        "log_of_log": np.log2(log2 + 1),
        "z": (log2 - reference.mean(axis=0)) / reference.std(axis=0),
    }
    return {name: frame(values.astype(np.float32)) for name, values in made.items()}


TRAINED = {name: GeneReference.fit(table) for name, table in scales(1, 120).items()}


def refusals(trained: str, given: str, n: int, batch: float = 0.5) -> float:
    found = [compare(TRAINED[trained], scales(s, n, batch)[given]) for s in range(2, 7)]
    return float(np.mean([comparison.problem is not None for comparison in found]))


@pytest.mark.parametrize("n", [1, 2, 5, 30])
@pytest.mark.parametrize("trained", ["counts", "tpm", "log2", "z"])
def test_another_quantity_is_always_refused(trained, n):
    for given in (*RAW, *LOG, *CENTRED):
        told_only = {trained} | ({"ln"} if trained == "log2" else set())
        if given not in told_only:
            assert refusals(trained, given, n) == 1, (trained, given)


@pytest.mark.parametrize("batch", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n", [1, 2, 5, 30])
@pytest.mark.parametrize("trained", ["counts", "tpm", "log2", "z"])
def test_another_hospital_is_never_refused(trained, n, batch):
    assert refusals(trained, trained, n, batch) == 0


def test_the_same_batch_is_not_even_told():
    for name in ("tpm", "log2", "z"):
        for n in (1, 2, 5, 30):
            found = compare(TRAINED[name], scales(7, n)[name])
            assert (found.problem, found.drift) == (None, None), (name, n)


def test_a_batch_shift_is_told_with_its_figure():
    found = compare(TRAINED["log2"], scales(3, 20)["log2"] + 1.5)
    assert found.problem is None
    assert "standard deviations in the median gene" in str(found.drift)


def test_natural_logarithms_are_told_by_name():
    found = compare(TRAINED["log2"], scales(3, 20)["ln"])
    assert "a factor of 0.69 between genes (natural logarithms for log2)" in str(found.drift)
    refused = compare(TRAINED["log2"], scales(3, 20)["log10"])
    assert "log10 for log2 fits" in str(refused.problem)


def test_the_refusal_gives_figures_and_the_likely_cause():
    problem = str(compare(TRAINED["z"], scales(3, 4)["counts"]).problem)
    assert "the values of all 4 patients are on another scale" in problem
    assert "They look like raw counts, TPM or RSEM, training like z-scores or log ratios" in problem
    problem = str(compare(TRAINED["log2"], scales(3, 4)["z"]).problem)
    assert "They look like z-scores or log ratios, training like logarithms" in problem


def test_z_scores_of_another_reference_are_told():
    found = compare(TRAINED["z"], scales(3, 20)["z"] * 2 + 1)
    assert found.problem is None
    assert found.drift is not None


def test_one_patient_of_many_on_another_scale_is_named():
    many = scales(3, 20)
    mixed = many["log2"].copy()
    mixed.iloc[[4, 9]] = many["tpm"].iloc[[4, 9]]
    assert "the values of patients P4, P9 are" in str(compare(TRAINED["log2"], mixed).problem)


def test_an_extreme_patient_and_an_enriched_cohort_are_not_refused():
    for name in ("log2", "z"):
        spread = TRAINED[name].spread
        amplified = scales(3, 1)[name].copy()
        amplified.iloc[:, :60] += 8 * spread[:60]
        assert compare(TRAINED[name], amplified).problem is None
        enriched = scales(3, 30)[name].copy()
        enriched.iloc[:, :60] += 4 * spread[:60]
        assert compare(TRAINED[name], enriched).problem is None


def test_few_genes_refuse_only_what_no_biology_explains():
    for genes in (1, 3, 20):
        reference = GeneReference.fit(scales(1, 120)["z"].iloc[:, :genes])
        assert compare(reference, scales(3, 1)["z"].iloc[:, :genes] + 8).problem is None
        assert compare(reference, scales(3, 1)["tpm"].iloc[:, :genes] + 50).problem is not None


def test_missing_genes_and_values_and_a_constant_gene_do_not_matter():
    given = scales(3, 5)
    training = scales(1, 120)["log2"].assign(G0=4.0)
    reference = GeneReference.fit(training)
    for name, refused in (("log2", False), ("tpm", True), ("z", True)):
        table = given[name].drop(columns=[f"G{i}" for i in range(40, 80)])
        table = table.mask(np.random.default_rng(0).random(table.shape) < 0.2)
        table.iloc[2] = np.nan
        assert (compare(reference, table).problem is not None) == refused
    assert compare(reference, given["log2"].iloc[:0]).problem is None
    assert compare(reference, pd.DataFrame(index=["P1"])).problem is None


def copy_number(seed: int, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """GISTIC levels and log ratios of the same tumours."""
    rng = np.random.default_rng(seed)
    levels = rng.choice([-2, -1, 0, 1, 2], (n, GENES), p=[0.05, 0.2, 0.4, 0.25, 0.1])
    ratios = 0.4 * levels + 0.1 * rng.standard_normal(levels.shape)
    return frame(levels.astype(np.float32)), frame(ratios.astype(np.float32))


def test_levels_and_log_ratios_are_told_apart():
    levels, ratios = copy_number(1, 100)
    for n in (1, 2, 5, 30):
        new_levels, new_ratios = copy_number(2, n)
        assert compare(GeneReference.fit(levels), new_levels).problem is None
        assert compare(GeneReference.fit(ratios), new_ratios).problem is None
        assert compare(GeneReference.fit(levels), new_ratios).problem is not None
        assert compare(GeneReference.fit(ratios), new_levels).problem is not None


def test_a_tumour_without_copy_number_changes_is_not_refused():
    levels, ratios = copy_number(1, 100)
    quiet = levels.iloc[:1] * 0
    noise = 0.02 * np.random.default_rng(0).standard_normal(quiet.shape).astype(np.float32)
    assert compare(GeneReference.fit(levels), quiet).problem is None
    assert compare(GeneReference.fit(ratios), quiet + noise).problem is None


def test_the_reference_travels_with_the_preprocessor():
    table = scales(1, 50)["log2"]
    fitted = GenomicPreprocessor(selection=SelectionSettings(method="variance", n_genes=100)).fit(
        table
    )
    arrays = fitted.to_arrays()
    restored = GenomicPreprocessor.from_dict(fitted.to_dict(), arrays)
    assert restored.reference_ is not None
    for name, array in restored.reference_.to_arrays().items():
        assert np.array_equal(array, arrays[name])


def test_models_that_recorded_no_reference_are_held_against_their_scaling():
    table = scales(1, 50)["log2"]
    fitted = GenomicPreprocessor(selection=SelectionSettings(method="all", n_genes=None)).fit(table)
    old = {key: fitted.to_arrays()[key] for key in ("fill", "centre", "scale")}
    restored = GenomicPreprocessor.from_dict(fitted.to_dict(), old).reference_
    assert restored is not None
    given = scales(3, 3)
    assert compare(restored, given["log2"]).problem is None
    assert compare(restored, given["tpm"]).problem is not None
    unscaled = GenomicPreprocessor(
        selection=SelectionSettings(method="all", n_genes=None), scale="none"
    ).fit(table)
    assert GenomicPreprocessor.from_dict(unscaled.to_dict(), old).reference_ is None
    assert GenomicPreprocessor.identity(["A"]).reference_ is None


def test_few_genes_on_another_scale_are_told():
    few = scales(1, 120)["z"].iloc[:, :20]
    reference, others = GeneReference.fit(few), scales(2, 6)["z"].iloc[:, :20]
    assert compare(reference, others).drift is None
    assert "standard deviations in the median gene" in str(compare(reference, others + 8).drift)


@pytest.mark.parametrize("n_genes", [20, 50])
def test_a_panel_tells_another_quantity_and_another_centre(n_genes):
    reference = GeneReference.fit(scales(1, 120)["log2"].iloc[:, :n_genes])
    new = scales(2, 40)
    assert compare(reference, new["z"].iloc[:, :n_genes]).problem is not None
    assert compare(reference, -new["log2"].iloc[:, :n_genes]).problem is not None
    shifted = new["log2"].iloc[:, :n_genes] + 1.5
    told = compare(reference, shifted)
    assert "standard deviations in the median gene" in str(told.problem or told.drift)
    same = compare(reference, new["log2"].iloc[:, :n_genes])
    assert (same.problem, same.drift) == (None, None)


@pytest.mark.parametrize("n_genes", [20, 50, GENES])
def test_signs_turned_round_are_told(n_genes):
    def z_scores(seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        direction = np.where(np.arange(n_genes) % 3, 1, -1)  # skewed to the right, some to the left
        return frame(direction * (rng.gamma(1, 1, (200, n_genes)) - 1))

    reference, new = GeneReference.fit(z_scores(0)), z_scores(1)
    assert "signs turned round" in str(compare(reference, -new).drift)
    assert compare(reference, new).drift is None
    assert compare(reference, -new.iloc[:5]).drift is None  # too few to tell
