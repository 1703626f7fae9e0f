"""The report: one self-contained HTML page, with its tables and figures beside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from histodistill.calibration.triage import TriagePolicy
from histodistill.errors import InputError
from histodistill.evaluation import (
    STANDARD_METRICS,
    compare,
    contenders_in,
    evaluate,
    networks_in,
    runs_of,
    target_classes,
)
from histodistill.evaluation.intervals import RESAMPLES
from histodistill.evaluation.learning import LabelledPart
from histodistill.evaluation.summary import OF_FOLDS
from histodistill.files import write_text
from histodistill.report.checklists import (
    Filled,
    PageFacts,
    checklists_markdown,
    filled_checklists,
    topics_of,
)
from histodistill.report.cohort_section import cohort_section
from histodistill.report.depth.distribution import answered
from histodistill.report.depth.section import Asked, Chosen, present
from histodistill.report.drawn_methods import drawn_methods
from histodistill.report.evidence import Evidence
from histodistill.report.explained_section import explained_section
from histodistill.report.html import FOLD_LIMIT, LIMITS, Picture, page_template, picture
from histodistill.report.learning_section import learning_sections
from histodistill.report.patients_section import PatientsSection, anchors_of, patients_section
from histodistill.report.plots import training_figure, write_figure
from histodistill.report.slide_maps import SlideMap, Thumbnail, thumbnails
from histodistill.report.tables import (
    INPUTS,
    Table,
    averaged,
    headline_table,
    plain_table,
    write_table,
)
from histodistill.report.target_section import TargetSection, file_stem, target_section
from histodistill.spreadsheets import write_csv

PAGE = "report.html"
CHECKLISTS = "checklists.md"
DEFAULT_POLICY = TriagePolicy(max_missed=0.05, max_false_alarms=0.05)

# Columns that say nothing where one model predicted all patients.
_OF_FOLDS_COMPARED = ["n_models", "n_models_reference", "fold_auc", "fold_auc_reference"]


@dataclass(frozen=True)
class Report:
    """What a report tells, as plain data.

    Attributes:
        title: Headline of the page.
        predictions: A checked predictions table.
        settings: What was run: name and value of each setting worth showing.
        cohort: Who the patients are, any columns; by default the patients of each target and
            class.
        excluded: Patients left out: columns ``PATIENT`` and ``reason``.
        training: Epoch records of training runs, by the run's name.
        versions: Versions of the software.
        limits: Sentences added to the limits that hold always.
        reference: The contender that the others are compared with, ``METHOD NETWORK``; no
            comparison where it is None.
        simulated: Whether the cohort is simulated; the page then says so at the top.
        metrics: Names of the metrics.
        external: Whether one trained model predicted all patients, as in an external cohort, so
            that the page and its tables say nothing of folds.
        methods: Methods in the order in which figures take them, where there are more than eight.
        depth: The contender that is looked at in depth, ``METHOD NETWORK``; by default the first
            of ``methods``, with the first network that it has.
        policy: The triage policy.
        evidence: What is known of the patients beside their answers.
        described: What was run, in sentences by topics of the checklists.
        explained: Tables of `explain` and `explain-genes` by name: ``genes``, ``sets``, ``maps``.
        maps: A map of a slide, as `explain` drew it, by patient.
        learning: Predictions of models that had fewer labels, from the fewest to all; empty where
            none were trained.
        viewer: Address of ``histodistill view``, to which names of patients lead; empty for none.
        learning_notes: What was not trained for them, in sentences.
    """

    title: str
    predictions: pd.DataFrame
    settings: Mapping[str, str] = field(default_factory=dict)
    cohort: pd.DataFrame | None = None
    excluded: pd.DataFrame | None = None
    training: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    limits: Sequence[str] = ()
    reference: str | None = None
    simulated: bool = False
    metrics: Sequence[str] = STANDARD_METRICS
    external: bool = False
    methods: Sequence[str] = ()
    depth: str | None = None
    policy: TriagePolicy = DEFAULT_POLICY
    evidence: Evidence = field(default_factory=Evidence)
    described: Mapping[str, str] = field(default_factory=dict)
    explained: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    maps: Mapping[str, SlideMap] = field(default_factory=dict)
    learning: Sequence[LabelledPart] = ()
    learning_notes: Sequence[str] = ()
    viewer: str = ""


def write_report(
    folder: Path, report: Report, *, n_resamples: int = RESAMPLES, seed: int = 0
) -> Path:
    """Evaluate the predictions and write ``report.html``, ``tables/`` and ``figures/``.

    Args:
        folder: Where the report goes; files of the same names are replaced.
        report: What to tell.
        n_resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        Path of the page, which needs no other file.
    """
    evaluation = evaluate(
        report.predictions, metrics=report.metrics, n_resamples=n_resamples, seed=seed
    )
    summary, cohort = evaluation.summary, _cohort(report)
    write_csv(folder / "tables" / "cohort.csv", cohort)
    if report.external:
        write_csv(folder / "tables" / "summary.csv", summary.drop(columns=OF_FOLDS))
    else:
        write_csv(folder / "tables" / "summary.csv", summary)
        write_csv(folder / "tables" / "folds.csv", evaluation.folds)
    headline = headline_table(summary, external=report.external)
    write_table(headline, folder / "tables", "auc", "Area under the ROC curve.")
    comparison, not_compared = _comparison(folder, report, n_resamples, seed)
    anchors = anchors_of(report.predictions)
    asked = Asked(_chosen(report), report.evidence, report.policy, anchors, report.external)
    targets = _sections(folder, report, summary, asked)
    slides = thumbnails(report.maps, _worst(targets), anchors)
    page = page_template("report.html.jinja").render(
        report=report,
        limits=[*LIMITS, *([] if report.external else [FOLD_LIMIT]), *report.limits],
        cohort=plain_table(cohort, digits=1, source="tables/cohort.csv"),
        flow=cohort_section(folder, report.evidence),
        checks=_checks(folder, report.evidence),
        excluded=_excluded(folder, report.excluded),
        headline=replace(headline, source="tables/summary.csv"),
        targets=targets,
        explained=explained_section(folder, report.explained),
        slides=slides,
        checklists=_checklists(folder, report, targets),
        patients=_patients(folder, report, asked, _led_to(targets, slides)),
        drawn=drawn_methods(report.predictions, report.methods),
        policy_text=_policy(report.policy),
        n_methods=report.predictions["method"].nunique(),
        comparison=comparison,
        not_compared=not_compared,
        training=_training(folder, report),
        averaged=averaged(summary),
        notes=_notes(summary),
    )
    write_text(folder / PAGE, page)
    return folder / PAGE


def _cohort(report: Report) -> pd.DataFrame:
    """The table of the cohort; where none is given, the patients of each target and class."""
    if report.cohort is not None:
        return report.cohort
    rows = []
    for target, own in report.predictions.groupby("target", sort=False):
        known = own.drop_duplicates("PATIENT")["label"]
        rows += [(target, name, int((known == name).sum())) for name in target_classes(own)]
        rows += [(target, "unknown", int(known.isna().sum()))] if known.isna().any() else []
    return pd.DataFrame(rows, columns=["Target", "Class", "Patients"])


def _comparison(
    folder: Path, report: Report, n_resamples: int, seed: int
) -> tuple[Table | None, tuple[str, ...]]:
    """The comparison's table, or why there is none."""
    if report.reference is None:
        return None, ()
    try:
        table = compare(
            contenders_in(report.predictions),
            report.reference,
            common_patients=True,
            n_resamples=n_resamples,
            seed=seed,
        )
    except InputError as error:
        return None, error.problems
    if report.external:
        table = table.drop(columns=_OF_FOLDS_COMPARED)
    write_csv(folder / "tables" / "comparison.csv", table)
    shown = plain_table(_readable(table), source="tables/comparison.csv")
    write_table(shown, folder / "tables", "comparison", f"Differences from {report.reference}.")
    return shown, ()


def _readable(comparison: pd.DataFrame) -> pd.DataFrame:
    """The comparison for reading: the interval in one column, the names of people's words."""
    interval = [
        f"{low:+.3f} to {high:+.3f}"
        for low, high in zip(comparison["low"], comparison["high"], strict=True)
    ]
    columns = {
        "Target": comparison["target"],
        "Method": comparison["contender"],
        "Patients": comparison["n_patients"],
        "Positive": comparison["n_positive"],
        "Models": comparison.get("n_models"),
        "Models of reference": comparison.get("n_models_reference"),
        "AUC": comparison["auc"],
        "AUC of reference": comparison["auc_reference"],
        "Difference": [f"{value:+.3f}" for value in comparison["difference"]],
        "95 % interval": interval,
        "p (DeLong)": comparison["p_delong"],
        "p (bootstrap)": comparison["p_bootstrap"],
        "p (Holm)": comparison["p_holm"],
        "Notes": comparison["notes"],
    }
    return pd.DataFrame(columns).dropna(axis="columns", how="all")


def _excluded(folder: Path, excluded: pd.DataFrame | None) -> Table | None:
    """Patients left out, counted by reason; each one is listed in a CSV."""
    if excluded is None or excluded.empty:
        return None
    write_csv(folder / "tables" / "excluded.csv", excluded)
    counts = excluded["reason"].value_counts().rename_axis("Reason").reset_index(name="Patients")
    write_csv(folder / "tables" / "excluded-reasons.csv", counts)
    return plain_table(counts, source="tables/excluded-reasons.csv")


def _sections(
    folder: Path, report: Report, summary: pd.DataFrame, asked: Asked
) -> list[TargetSection]:
    drawn = drawn_methods(report.predictions, report.methods)
    stems = {str(name): file_stem(str(name)) for name in report.predictions["target"].unique()}
    learning = learning_sections(folder, report.learning, report.reference, drawn, stems)
    sections = [
        target_section(
            folder, str(name), rows, summary, asked, drawn=drawn, external=report.external
        )
        for name, rows in report.predictions.groupby("target", sort=False)
    ]
    return [replace(each, learning=learning.get(each.name)) for each in sections]


def _worst(targets: Sequence[TargetSection]) -> list[str]:
    """Patients of the worst errors of all targets, in turn."""
    tables = [target.depth.errors for target in targets if target.depth and target.depth.errors]
    return [row[0].text for table in tables for part in table.sections for row in part.rows]


def _chosen(report: Report) -> Chosen:
    """Whose answers are looked at in depth."""
    known = list(report.predictions["method"].unique())
    method = next((name for name in report.methods if name in known), str(known[0]))
    if report.depth is None:
        own = report.predictions[report.predictions["method"] == method]
        return Chosen(method, (networks_in(own) or ["student"])[0])
    name, _, network = report.depth.rpartition(" ")
    return Chosen(name, network)


def _led_to(targets: list[TargetSection], slides: Sequence[Thumbnail]) -> set[str]:
    """Places of the patients to whom a point, a row or a picture of the page leads."""
    depths = [target.depth for target in targets if target.depth is not None]
    lanes = [lane for depth in depths for lane in depth.distribution.lanes]
    errors = [depth.errors for depth in depths if depth.errors is not None]
    cells = [cell for e in errors for part in e.sections for row in part.rows for cell in row]
    points = {point.anchor for lane in lanes for point in lane.points}
    return points | {cell.anchor for cell in cells} | {each.anchor for each in slides}


def _patients(
    folder: Path, report: Report, asked: Asked, led_to: Collection[str]
) -> PatientsSection:
    answers = {}
    for name, rows in report.predictions.groupby("target", sort=False):
        chosen = present(rows, asked.chosen)
        own = rows[rows["method"] == chosen.method]
        runs = runs_of(own, chosen.network, target_classes(rows))
        if len(runs):
            answers[str(name)] = answered(runs)
    known = report.evidence.patients
    return patients_section(folder, asked.anchors, known, answers, led_to, report.viewer)


def _checklists(folder: Path, report: Report, targets: list[TargetSection]) -> tuple[Filled, ...]:
    """The checklists, filled, and written as Markdown beside the page."""
    facts = PageFacts(
        report.title,
        report.predictions,
        report.described,
        report.evidence,
        targets,
        report.versions,
        report.external,
        bool(report.explained),
    )
    filled = filled_checklists(topics_of(facts))
    write_text(folder / CHECKLISTS, checklists_markdown(report.title, filled, PAGE))
    return filled


def _policy(policy: TriagePolicy) -> str:
    """The triage policy in words."""
    told = {
        "miss at most {:g} % of the positive": policy.max_missed,
        "call at most {:g} % of the negative positive": policy.max_false_alarms,
        "be right in at least {:g} % of those called positive": policy.min_ppv,
    }
    return ", ".join(text.format(100 * share) for text, share in told.items() if share is not None)


def _checks(folder: Path, evidence: Evidence) -> Table | None:
    if evidence.checks is None:
        return None
    write_csv(folder / "tables" / "checks.csv", evidence.checks)
    return plain_table(evidence.checks, source="tables/checks.csv")


def _training(folder: Path, report: Report) -> list[Picture]:
    return [
        picture(
            write_figure(
                training_figure(records), folder / "figures", f"training-{file_stem(name)}"
            ),
            f"{name}; dotted, the best epoch.",
        )
        for name, records in report.training.items()
        if records
    ]


def _notes(summary: pd.DataFrame) -> list[str]:
    """What was undefined or left out, a sentence a target, method and network."""
    noted = summary[summary["notes"] != ""].drop_duplicates(["target", "method", "network"])
    return [
        f"{row['target']}, {row['method']} ({INPUTS[row['network']].lower()}): {row['notes']}."
        for row in noted.to_dict("records")
    ]
