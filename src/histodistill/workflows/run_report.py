"""The report of a run: what its folder and its inputs hold, on one page."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from histodistill import sealing
from histodistill.calibration import TriagePolicy
from histodistill.errors import InputError
from histodistill.evaluation import contenders_in, read_predictions, with_standard
from histodistill.evaluation.learning import LabelledPart
from histodistill.experiment import Experiment, ExperimentData, load
from histodistill.experiment.audit import count_patients, excluded_patients
from histodistill.experiment.cohort_flow import cohort_flow
from histodistill.experiment.cohort_table import cohort_table
from histodistill.experiment.described import described
from histodistill.experiment.leakage import divisions, leakage_audit
from histodistill.experiment.patient_facts import (
    not_among,
    patient_facts,
    patient_groups,
    user_columns,
)
from histodistill.experiment.recorded import CONFIGURATION, is_run, recorded_experiment
from histodistill.files import folder_name, sha256
from histodistill.report import Report, write_report
from histodistill.report.drawn_methods import drawn_methods
from histodistill.report.evidence import Evidence
from histodistill.report.explained_section import TABLES
from histodistill.report.page import DEFAULT_POLICY
from histodistill.report.slide_maps import SlideMap
from histodistill.spreadsheets import read_own_csv
from histodistill.training.folders import PREDICTIONS
from histodistill.training.loop.trainer import CURVES
from histodistill.training.run.learning_curves import learnt_parts
from histodistill.training.run.run_folder import versions

REPORT, MAPS = "report", "maps.csv"
VIEWER = "http://127.0.0.1:8765"
"""Where ``histodistill view`` is by default."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ReportSettings:
    """What a report is asked for beside what it always tells.

    Attributes:
        by: More columns by which subgroups and strata are formed.
        clinical: Columns of the clinical-only model.
        tables: Tables of patients in which columns are looked for after the clinical table.
        depth: The contender that is looked at in depth, ``METHOD NETWORK``; by default the
            experiment's first method.
        policy: The triage policy; by default the experiment's, where it states risks.
        explained: Folders that `explain` and `explain-genes` wrote.
        viewer: Address of ``histodistill view``, to which names of patients lead; empty for none.
    """

    by: tuple[str, ...] = ()
    clinical: tuple[str, ...] = ()
    tables: tuple[Path, ...] = ()
    depth: str | None = None
    policy: TriagePolicy | None = None
    explained: tuple[Path, ...] = ()
    viewer: str = VIEWER


def report_run(
    folder: Path, settings: ReportSettings | None = None, progress: Progress | None = None
) -> Path:
    """Write the report of a finished run into its folder.

    Where the inputs have gone, or are no longer what they were, the page is made of the
    predictions alone and says what it lacks.

    Args:
        folder: The run's output folder.
        settings: What is asked for.
        progress: Called with (bags read, bags in all).

    Returns:
        The page.

    Raises:
        InputError: No finished run is there, or something that was named does not exist.
    """
    settings = settings or ReportSettings()
    experiment = experiment_of(folder)
    if not (folder / PREDICTIONS).is_file() and not sealing.unread_sentence(folder):
        raise InputError(
            f"{folder}: has no {PREDICTIONS}; finish the run (histodistill crossval or suite)"
        )
    notes: list[str] = []
    predictions = read_predictions(folder / PREDICTIONS, notes)
    try:
        data = load(experiment, progress)
    except InputError as error:
        if settings.by or settings.clinical:
            raise
        notes += [f"The inputs cannot be read any more: {each}" for each in error.problems]
        return _write(experiment, None, predictions, settings, notes)
    return _write(experiment, data, predictions, settings, notes)


def run_report(
    experiment: Experiment,
    data: ExperimentData,
    predictions: pd.DataFrame,
    settings: ReportSettings | None = None,
) -> Path:
    """Write the report of a cross-validation into its folder.

    Args:
        experiment: What was run.
        data: Its loaded inputs.
        predictions: Its out-of-fold predictions.
        settings: What is asked for.

    Returns:
        The page.
    """
    return _write(experiment, data, predictions, settings or ReportSettings(), [])


def experiment_of(run: Path) -> Experiment:
    """The experiment that a run's folder records, without the defaults that the record writes out.

    Nobody has named those, so that they are not refused where the inputs have none of them.

    Raises:
        InputError: It records none, or is damaged.
    """
    if not is_run(run):
        raise InputError(
            f"{run}: is no run: it has no {CONFIGURATION}; give the output folder of crossval or "
            "suite"
        )
    recorded = recorded_experiment(run)
    given = recorded.model_dump(mode="json", exclude_defaults=True)
    methods = recorded.model_dump(mode="json")["methods"]
    experiment = Experiment.model_validate(given | {"methods": methods})
    return experiment.model_copy(update={"output": run})


def _write(
    experiment: Experiment,
    data: ExperimentData | None,
    predictions: pd.DataFrame,
    settings: ReportSettings,
    notes: list[str],
) -> Path:
    _require_contender(predictions, settings.depth)
    methods = tuple(experiment.methods)
    learnt = learnt_parts(experiment.output, predictions)
    report = Report(
        title=experiment.name,
        predictions=predictions,
        settings=_settings(experiment),
        training=training_curves(experiment, drawn_methods(predictions, methods)),
        versions={name: str(value) for name, value in versions()["packages"].items()},
        reference=_reference(experiment),
        simulated=experiment.simulated,
        metrics=with_standard(experiment.metrics),
        methods=methods,
        depth=settings.depth,
        policy=settings.policy or _stated_policy(experiment),
        described=described(experiment, data),
        explained=_explained(settings.explained),
        maps=_slide_maps(settings.explained),
        evidence=Evidence(lacking=tuple(notes)),
        learning=[LabelledPart(part.predictions, part.labelled) for part in learnt],
        viewer=settings.viewer if experiment.features is not None else "",
        learning_notes=[note for part in learnt for note in part.notes],
    )
    if data is not None:
        report = replace(
            report,
            cohort=cohort_table(experiment, data),
            excluded=excluded_patients(experiment, data),
            evidence=_evidence(experiment, data, predictions, settings, notes),
        )
    return write_report(experiment.output / REPORT, report)


def _stated_policy(experiment: Experiment) -> TriagePolicy:
    """The experiment's policy; costs state no risk that the report could judge."""
    stated = experiment.triage
    return DEFAULT_POLICY if stated is None or stated.costs is not None else stated


def _explained(folders: tuple[Path, ...]) -> dict[str, pd.DataFrame]:
    """The tables that some folders of explanations hold.

    Raises:
        InputError: A folder that holds none of them.
    """
    found: dict[str, pd.DataFrame] = {}
    problems = []
    for folder in folders:
        here = {name: folder / f"{name}.csv" for name in TABLES}
        known = {name: path for name, path in here.items() if path.is_file()}
        if not known:
            names = ", ".join(path.name for path in here.values())
            problems.append(f"--explained {folder}: holds none of {names}")
        found |= {name: read_own_csv(path) for name, path in known.items()}
    if problems:
        raise InputError(*problems)
    return found


def _slide_maps(folders: tuple[Path, ...]) -> dict[str, SlideMap]:
    """The first map that `explain` drew of each patient, the student's before others."""
    found: dict[str, SlideMap] = {}
    for table in (folder / MAPS for folder in folders if (folder / MAPS).is_file()):
        rows = read_own_csv(table)
        for row in rows.to_dict("records"):
            place = table.parent / folder_name(str(row["PATIENT"]))
            pictures = sorted(place.glob(f"*/{row['network']}.png"))
            if pictures:
                said = (
                    f"{row['network']}, evidence for {row['class']}, probability "
                    f"{row['probability']:.3f}, called {row['called']}. {row['verdict']}"
                )
                found.setdefault(str(row["PATIENT"]), SlideMap(pictures[0], said))
    return found


def _require_contender(predictions: pd.DataFrame, depth: str | None) -> None:
    known = [contender.name for contender in contenders_in(predictions)]
    if depth is not None and depth not in known:
        raise InputError(f"no contender {depth!r}: --depth is one of {', '.join(known)}")


def _evidence(
    experiment: Experiment,
    data: ExperimentData,
    predictions: pd.DataFrame,
    settings: ReportSettings,
    notes: list[str],
) -> Evidence:
    """What the inputs tell of the patients."""
    cohort = experiment.cohort
    tables = dict.fromkeys((cohort.clinical, *settings.tables), cohort.patient_column)
    answered = set(predictions["PATIENT"])
    by = user_columns(tables, settings.by, "--by", answered, notes)
    clinical = user_columns(tables, settings.clinical, "--clinical", answered, notes)
    facts = patient_facts(data)
    by_patient = {name: values[values.index.isin(data.patients)] for name, values in by.items()}
    sites = count_patients(experiment, data)
    return Evidence(
        flow=cohort_flow(experiment, data, predictions),
        sites=sites.groupby(["target", "site", "class"], sort=False)["patients"]
        .sum()
        .reset_index(),
        folds=divisions(experiment, data),
        patients=facts,
        groups=not_among(patient_groups(experiment, data, facts), by_patient) | by,
        asked=frozenset(by),
        clinical=pd.DataFrame(clinical).reindex(list(data.patients)) if clinical else None,
        features=_mean_patches(data),
        checks=pd.concat(
            [leakage_audit(experiment, data, predictions), _seal_check(experiment)],
            ignore_index=True,
        ),
        lacking=tuple(notes),
    )


def _seal_check(experiment: Experiment) -> pd.DataFrame:
    """Whether figures of test patients were out of sight until all choices were made."""
    run, where = experiment.output, sealing.OPENED
    try:
        opening = sealing.opening_of(run)
    except InputError as error:
        found = f"sealed once, and nobody can tell until when: {error}"
    else:
        found = _opened(experiment, opening)
        where = where if opening else "`splits: seal`"
    row = ("answers to test patients", found, where)
    return pd.DataFrame([row], columns=["Check", "Found", "Where"])


def _opened(experiment: Experiment, opening: sealing.Opening | None) -> str:
    if opening is None:
        return "not sealed: figures of test patients could be seen while choices were made"
    found = f"sealed until {opening.time}, configuration {opening.configuration[:12]}"
    later = [name for name in experiment.methods if name not in opening.methods]
    if later:
        return f"{found}; trained after the opening: {', '.join(later)}"
    if sha256(experiment.output / CONFIGURATION) != opening.configuration:
        return f"{found}; the configuration has changed since"
    return found


def _mean_patches(data: ExperimentData) -> pd.DataFrame | None:
    if data.bags is None:
        return None
    patients = data.bags.patients
    return pd.DataFrame(data.bags.mean_patches(patients), index=patients)


def _settings(experiment: Experiment) -> dict[str, str]:
    splits = experiment.splits
    return {
        "Methods": ", ".join(f"{name} ({m.recipe})" for name, m in experiment.methods.items()),
        "Seeds": ", ".join(map(str, experiment.seeds)),
        "Folds": f"{splits.scheme}, {splits.folds} folds"
        + ("" if splits.repeats == 1 else f", {splits.repeats} repeats")
        if splits.scheme != "files"
        else "given in files",
        "Genomic blocks": ", ".join(experiment.genomics) or "none",
        "Best epoch by": ", ".join(
            f"{name}: {m.training.monitor}" for name, m in experiment.methods.items()
        ),
    }


def _reference(experiment: Experiment) -> str | None:
    """The slide-only student of the same engine, where the experiment has one."""
    plain = [n for n, m in experiment.methods.items() if m.network.networks == ("student",)]
    return f"{plain[0]} student" if plain else None


def training_curves(
    experiment: Experiment, methods: Collection[str] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Training curves of the first seed, fold and member of every target and method.

    Args:
        experiment: A finished run.
        methods: Only these; None for all.

    Returns:
        Records of the epochs, by target and method in words.
    """
    curves = {}
    asked = experiment.methods if methods is None else methods
    for target in experiment.targets:
        for method in (name for name in experiment.methods if name in asked):
            seed = experiment.seeds_of(method)[0]
            place = experiment.output / "fits" / target / method / f"seed-{seed}"
            paths = sorted((place / "repeat-0-fold-0").rglob(CURVES))
            if paths:
                lines = paths[0].read_text(encoding="utf-8").splitlines()
                curves[f"{target} {method}, first fold"] = [json.loads(line) for line in lines]
    return curves
