"""What was decomposed: the features of a method's networks, over the folds of a finished run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.deploy import Bundle
from histodistill.errors import InputError, listed
from histodistill.experiment import Experiment
from histodistill.experiment.data import ExperimentData
from histodistill.explanation.contributions import Floats
from histodistill.explanation.feature_plot import feature_figure, patient_figure
from histodistill.explanation.feature_spaces import (
    features_of,
    linear_cka,
    map_of_patients,
    probe_classes,
    probe_values,
)
from histodistill.files import whole_file
from histodistill.model import NetworkName
from histodistill.spreadsheets import write_csv
from histodistill.training.folders import MODEL
from histodistill.training.run.planned_fits import finished_fits

Features = Mapping[NetworkName, Floats]

# Fewer test patients with slides and genes say nothing.
_FEWEST = 20


@dataclass(frozen=True)
class FeaturesExplained:
    """How the networks' features are related, and what each of them tells.

    Attributes:
        similarity: A row a pair of networks: ``one``, ``other``, debiased linear ``cka``, the mean
            over the folds, and its ``sd``.
        probes: A row a representation and question: ``features`` (a network, or two side by side,
            ``student + genomic``: what they tell more than the better of them is specific to the
            other), ``what``, ``measure`` (``auc``, .5 by chance, or ``r``, 0 by chance),
            ``score``, the mean over the folds, and its ``sd``.
        places: A row a network and test patient of the first fold: ``x`` and ``y`` on the first
            two principal components, ``label`` and ``site``.
        notes: Sentences: what the reader must know.
    """

    similarity: pd.DataFrame
    probes: pd.DataFrame
    places: pd.DataFrame
    notes: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Write ``similarity.csv``, ``probes.csv``, ``patients.csv`` and two pictures.

        Args:
            folder: Where; what an earlier call wrote there is replaced.
        """
        write_csv(folder / "similarity.csv", self.similarity)
        write_csv(folder / "probes.csv", self.probes)
        write_csv(folder / "patients.csv", self.places)
        figures = {
            "features.png": feature_figure(self.similarity, self.probes),
            "patients.png": patient_figure(self.places),
        }
        for name, figure in figures.items():
            with whole_file(folder / name) as temporary:
                figure.savefig(temporary, dpi=150)


def explain_run_features(
    experiment: Experiment,
    data: ExperimentData,
    target: str,
    method: str,
    genes: Sequence[str] = (),
    *,
    progress: Callable[[int, int], None] | None = None,
) -> FeaturesExplained:
    """Compare and probe the networks of a finished cross-validation, on test patients.

    Each fold's model answers its test patients with slides and genes. Probes are fitted and tested
    among these, cross-validated; all figures are means over the folds of the first seed (and over
    the members of an ensemble).

    Args:
        experiment: The experiment.
        data: Its inputs, from ``load``.
        target: What is predicted.
        method: One of its methods, with two networks or more.
        genes: Genes to probe for, ``block:gene``, or the gene alone where one block has it.
        progress: Called with (models done, models in all).

    Raises:
        InputError: The cross-validation is not finished, an unknown gene, fewer than two networks,
            or folds with fewer than 20 test patients who have slides and genes.
    """
    known = _genes(data, genes)
    networks = experiment.methods[method].network.networks
    if len(networks) < 2 or data.bags is None or not data.genomics:
        raise InputError(
            f"{method} has {len(networks)} network: features are compared of two or more, of "
            "patients with slides and genomics"
        )
    fits = finished_fits(experiment, data, target, method)
    allowed = experiment.methods[method].network.import_paths
    similarity, probes, places = [], [], pd.DataFrame()
    for number, fit in enumerate(fits, start=1):
        bundle = Bundle.load(fit.folder(experiment.output) / MODEL, allow=allowed)
        patients = [p for p in fit.fold.test if p in data.with_slides and p in data.with_genes]
        if len(patients) < _FEWEST:
            raise InputError(
                f"{fit}: {len(patients)} test patients have slides and genomics; fewer than "
                f"{_FEWEST} say nothing of features"
            )
        about = _about(data, target, patients, known)
        for member in bundle.members:
            features = features_of(member, data.bags, data.genomics, patients)
            similarity += list(_similarity(features))
            probes += list(_probes(features, about))
        if number == 1:
            places = _places(features, about, experiment.targets[target].classes)
        if progress is not None:
            progress(number, len(fits))
    return FeaturesExplained(
        _averaged(similarity, ["one", "other"], "cka"),
        _averaged(probes, ["features", "what", "measure"], "score"),
        places,
        tuple(_notes(probes)),
    )


@dataclass(frozen=True)
class _About:
    """What is known of patients: label, site, genes."""

    patients: Sequence[str]
    labels: Sequence[object]
    sites: Sequence[object]
    genes: Mapping[str, Floats]


def _about(
    data: ExperimentData, target: str, patients: Sequence[str], genes: Mapping[str, pd.Series]
) -> _About:
    rows = list(patients)
    sites = data.clinical.sites.reindex(rows)
    values = {name: own.reindex(rows).to_numpy(np.float64) for name, own in genes.items()}
    return _About(rows, data.labels(target).reindex(rows).tolist(), sites.tolist(), values)


def _genes(data: ExperimentData, names: Sequence[str]) -> dict[str, pd.Series]:
    """The values of the named genes."""
    found, problems = {}, []
    for name in names:
        block, _, gene = name.rpartition(":")
        places = [
            (own, table[gene])
            for own, table in data.genomics.items()
            if block in ("", own) and gene in table.columns
        ]
        if len(places) == 1:
            own, values = places[0]
            found[f"{own}:{gene}"] = values
        elif places:
            full = listed([f"{own}:{gene}" for own, _ in places])
            problems.append(f"{name} is in several blocks: write one of {full}")
        else:
            problems.append(f"no block has a gene {name}")
    if problems:
        raise InputError(*problems)
    return found


def _similarity(features: Features) -> Iterator[dict[str, object]]:
    for (one, a), (other, b) in combinations(features.items(), 2):
        yield {"one": one, "other": other, "cka": linear_cka(a, b)}


def _probes(features: Features, about: _About) -> Iterator[dict[str, object]]:
    """What each network's features tell, and what those of each two tell together."""
    spaces: dict[str, Floats] = {str(name): own for name, own in features.items()}
    spaces |= {
        f"{one} + {other}": np.hstack([a, b])
        for (one, a), (other, b) in combinations(features.items(), 2)
    }
    for name, own in spaces.items():
        for what, classes in (("label", about.labels), ("site", about.sites)):
            score = probe_classes(own, classes)
            yield {"features": name, "what": what, "measure": "auc", "score": score}
        for gene, values in about.genes.items():
            score = probe_values(own, values)
            yield {"features": name, "what": gene, "measure": "r", "score": score}


def _places(features: Features, about: _About, classes: Sequence[str]) -> pd.DataFrame:
    parts = []
    for name, own in features.items():
        place = map_of_patients(own)
        labels = [classes[int(label)] for label in np.asarray(about.labels, dtype=np.int64)]
        columns: dict[str, object] = {
            "network": name,
            "PATIENT": list(about.patients),
            "x": place[:, 0],
            "y": place[:, 1],
            "label": labels,
            "site": list(about.sites),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _averaged(rows: Sequence[dict[str, object]], keys: list[str], value: str) -> pd.DataFrame:
    """Mean and standard deviation over folds and members, in the order of the first of them."""
    grouped = pd.DataFrame(rows).groupby(keys, sort=False)[value]
    return grouped.agg(["mean", "std"]).reset_index().rename(columns={"mean": value, "std": "sd"})


def _notes(probes: Sequence[dict[str, object]]) -> Iterator[str]:
    unknown = {str(row["what"]) for row in probes if np.isnan(float(str(row["score"])))}
    if unknown:
        yield (
            f"not probed in some folds, where there are too few patients of each kind: "
            f"{listed(sorted(unknown))}"
        )
