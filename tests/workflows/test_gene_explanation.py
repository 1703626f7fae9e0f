"""The null of permuted labels for the genes of a bundle: trained again by its experiment."""

from dataclasses import replace
from pathlib import Path

import pytest

from histodistill.errors import InputError
from histodistill.experiment import load, read_experiment
from histodistill.simulation import simulate_cohort
from histodistill.training import train_final
from histodistill.workflows.gene_explanation import TrainedBy, explain_bundle_genes
from tests.cli.command_line import succeed
from tests.experiment.small import NETWORK, SETTINGS, experiment_file

METHODS = {"linear-genomic": {"network": NETWORK}, "mkd": None, "abmil": None}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("null")
    simulate_cohort(folder / "cohort", replace(SETTINGS, n_patients=60))
    experiment = read_experiment(experiment_file(folder, {"methods": METHODS}))
    data = load(experiment)
    bundle = train_final(experiment, data, "ER", "linear-genomic", seed=0)
    bundle.save(folder / "bundle")
    return folder, experiment, data, bundle


def test_a_bundle_is_trained_again_with_permuted_labels(trained, tmp_path: Path) -> None:
    folder, experiment, data, bundle = trained
    seen: list[tuple[int, int]] = []
    found = explain_bundle_genes(
        bundle,
        data.genomics,
        trained_by=TrainedBy(experiment, data, 2),
        progress=lambda done, of: seen.append((done, of)),
    )
    (ranking,) = found.rankings
    assert ranking.n_permutations == 2
    assert set(ranking.genes["p"].round(6)) <= {0.333333, 0.666667, 1.0}
    assert (ranking.genes["p_family"] >= ranking.genes["p"]).all()
    assert seen == [(1, 2), (2, 2)]
    assert not found.notes
    again = explain_bundle_genes(bundle, data.genomics, trained_by=TrainedBy(experiment, data, 2))
    assert again.rankings[0].genes.equals(ranking.genes)
    said = succeed(
        *("explain-genes", folder / "bundle", "--out", tmp_path / "genes"),
        *("--genomics", f"mrna={folder / 'cohort' / 'mrna_zscores.txt'}"),
        *("--experiment", folder / "experiment.yaml", "--permutations", "2"),
    )
    assert "no null" not in said.output
    assert "<th>p, family</th>" in (tmp_path / "genes" / "genes.html").read_text()


def test_another_experiment_is_refused(trained) -> None:
    _, experiment, data, bundle = trained
    other = experiment.model_copy(update={"methods": {}})
    with pytest.raises(InputError, match="did not train this bundle, which tells ER"):
        explain_bundle_genes(bundle, data.genomics, trained_by=TrainedBy(other, data, 2))
