"""The final model: who trains it."""

from __future__ import annotations

from pathlib import Path

from histodistill.experiment import load, read_experiment
from histodistill.simulation import SimulationSettings, simulate_cohort
from histodistill.training.run.final import final_fold

EXPERIMENT = """\
name: external
cohort: {{clinical: {folder}/clinical.csv, site_column: SITE, slides: {folder}/slides.csv}}
features: {{directory: {folder}/features}}
targets: {{ER: {{classes: [negative, positive], positive: positive}}}}
splits: {{scheme: external, external_sites: [{site}]}}
methods: [abmil]
output: {folder}/results
"""


def test_hospitals_that_are_kept_apart_stay_so_in_the_final_model(tmp_path: Path) -> None:
    simulate_cohort(tmp_path, SimulationSettings(n_patients=80, n_sites=10, width=4, n_genes=10))
    file = tmp_path / "experiment.yaml"
    text = EXPERIMENT.format(folder=tmp_path, site="S01")
    file.write_text(text.replace("scheme: external, external_sites: [S01]", "scheme: site"))
    experiment = read_experiment(file)
    data = load(experiment)
    fold = final_fold(experiment, data, "ER")
    sites = data.clinical.sites
    train, validation = ({*sites[list(part)]} for part in (fold.train, fold.validation))
    assert validation
    assert not train & validation
    assert {*fold.train, *fold.validation} == set(data.labels("ER").index)


def test_a_held_out_hospital_stays_out_of_the_final_model(tmp_path: Path) -> None:
    simulate_cohort(tmp_path, SimulationSettings(n_patients=60, width=4, n_genes=10))
    file = tmp_path / "experiment.yaml"
    file.write_text(EXPERIMENT.format(folder=tmp_path, site="S01"))
    experiment = read_experiment(file)
    data = load(experiment)
    sites = data.clinical.sites
    assert "S01" in set(sites)

    fold = final_fold(experiment, data, "ER")

    everybody = [*fold.train, *fold.validation]
    assert set(everybody) == {p for p in data.labels("ER").index if sites[p] != "S01"}
    assert len(everybody) == len(set(everybody))
    assert fold.test == ()
