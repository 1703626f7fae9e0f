"""Whatever an experiment names and nothing reads is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from histodistill.errors import InputError
from histodistill.experiment.reading import read_experiment
from tests.experiment.small import experiment_file

GENES_ALONE: dict[str, Any] = {
    "features": None,
    "cohort": {"slides": None},
    "methods": {"mkd": None, "abmil": None, "genomic": {}},
}
SLIDES_ALONE: dict[str, Any] = {"genomics": None, "methods": {"mkd": None}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"genes": ["ESR1"], "baselines": ["logistic-slides"]}, "genes: ESR1 are reported by"),
        (SLIDES_ALONE | {"genes": ["ESR1"]}, "genes: ESR1 cannot be read; give `genomics`"),
        (
            SLIDES_ALONE | {"baselines": ["logistic-genomics"]},
            "baselines: logistic-genomics has nothing to read; give `genomics`",
        ),
        (
            GENES_ALONE | {"baselines": ["logistic-slides"]},
            "baselines: logistic-slides has nothing to read; give `features`",
        ),
        (
            {"methods": {"mkd": None}, "baselines": []},
            "genomics.mrna: no method and no baseline reads it",
        ),
        (
            {"methods": GENES_ALONE["methods"], "baselines": []},
            "features: no method and no baseline reads slides",
        ),
        (GENES_ALONE | {"cohort": {}}, "cohort.slides: speaks of slides; give `features`"),
        (
            GENES_ALONE | {"cohort": {"slides": None, "patient_pattern": "(.*)"}},
            "cohort.patient_pattern: speaks of slides; give `features`",
        ),
        (
            {"seeds": [7], "methods": {"abmil": {"seeds": [1]}, "mkd": {"seeds": [2]}}},
            "seeds: every method has `seeds` of its own",
        ),
        (
            {"methods": {"abmil": {"network": {"blocks": ["mrna"]}}}},
            "methods.abmil.network.blocks: the method reads no genes",
        ),
        (
            {"methods": {"abmil": {"network": {"multimodal": "mcat"}}}},
            "methods.abmil.network.multimodal: trained are student; add `multimodal`",
        ),
        (
            {"methods": {"abmil": {"network": {"fusion": "concat"}}}},
            "methods.abmil.network.fusion: joins slide and genes",
        ),
        (
            {"methods": {"mkd": {"teacher_training": {"max_epochs": 3}}}},
            "methods.mkd.teacher_training: is of teachers that are trained first",
        ),
        (
            {"methods": {"genomic": {"training": {"patches": 30}}}},
            "methods.genomic.training.patches: the method reads no slides",
        ),
        (
            {"methods": {"mkd": {"objective": {"distillation_options": {"kd": {}}}}}},
            "objective.distillation_options.kd: `objective.distillation` gives `kd` no weight",
        ),
        (
            {"methods": {"abmil": {"objective": {"distillation": {"kd": 1}}}}},
            "methods.abmil.objective.distillation.kd: is between the student and one of `teachers`",
        ),
        (
            {"methods": {"abmil": {"objective": {"collaboration": 2}}}},
            "objective.collaboration: is between the student and one of `teachers`, and trained",
        ),
        (
            {"methods": {"abmil": {"objective": {"alignment": 2}}}},
            "methods.abmil.objective.alignment: is between two networks",
        ),
        (
            {
                "methods": {
                    "mkd": {
                        "network": {"networks": ["student", "multimodal"]},
                        "objective": {"teachers": ["genomic"]},
                    }
                }
            },
            "methods.mkd.objective.teachers: names genomic, and trained are student, multimodal",
        ),
        (
            {"methods": {"mkd": {"objective": {"collaboration": 0, "temperature": 2}}}},
            "objective.temperature: is of `collaboration`",
        ),
        (
            {"methods": {"mkd": {"objective": {"reconstruction_components": 3}}}},
            "objective.reconstruction_components: `reconstruction` has no weight",
        ),
        (
            {"methods": {"abmil": {"network": {"gene_weighting": 1}}}},
            "methods.abmil.network.gene_weighting: the method reads no genes",
        ),
        (
            {"methods": {"abmil": {"network": {"prototypes": 8}}}},
            "methods.abmil.network.prototypes: serve to predict `programmes`",
        ),
        (
            {"methods": {"abmil": {"network": {"proportions": True}}}},
            "methods.abmil.network.proportions: are read beside `prototypes`",
        ),
        (
            {"methods": {"abmil": {"network": {"shrinkage": 1}}}},
            "methods.abmil.network.shrinkage: is of the student `linear`",
        ),
        ({"methods": {"mkd": {"network": {"networks": []}}}}, "networks: must not be empty"),
        (
            {"methods": {"mkd": {"network": {"networks": ["student", "student"]}}}},
            "methods.mkd.network.networks: student is named twice",
        ),
        ({"methods": {"mkd": {"network": {"blocks": []}}}}, "network.blocks: must not be empty"),
        (
            {"methods": {"abmil": {"objective": {"cross_entropy": 0}}}},
            "methods.abmil: `objective`: every weight is 0, so that nothing is learnt",
        ),
        ({"cohort": {"sample_types": ["tumour"]}}, "tumour names no sample type"),
        (
            {"genomics": {"mrna": {"scale": "none", "clip": 5}}},
            "genomics.mrna.clip: is in standard deviations of values that are scaled",
        ),
        ({"tuning": {"trials": 7}}, "tuning.trials: 7 trials, and there are 6 pairs"),
    ],
)
def test_what_nothing_reads_is_refused(tmp_path: Path, changes, message):
    path = experiment_file(tmp_path, changes)
    with pytest.raises(InputError) as caught:
        read_experiment(path)
    assert any(message in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    "changes",
    [
        GENES_ALONE,
        SLIDES_ALONE,
        {"tuning": {"learning_rates": [0.1]}},  # more trials by default than pairs
        {"methods": {"mkd": None}},  # a baseline by default reads the genes
        {"seeds": [7], "methods": {"mkd": {"seeds": [2]}}},
        {"methods": {"mkd-offline": {"teacher_training": {"max_epochs": 3}}}},
        {"genes": [], "baselines": []},
        # What all methods share is used by some of them.
        {"training": {"patches": 30}, "methods": {"genomic": {}}},
    ],
)
def test_what_something_reads_is_not(tmp_path: Path, changes):
    read_experiment(experiment_file(tmp_path, changes))
