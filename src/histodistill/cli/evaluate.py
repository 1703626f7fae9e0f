"""The `histodistill evaluate` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from histodistill.cli.console import answer, located, say, say_notes
from histodistill.cli.evaluate_options import (
    ClassNames,
    Headline,
    LabelColumn,
    LabelFile,
    Meanings,
    MoreMetrics,
    PatientColumn,
    PatientTables,
    PositiveClass,
    PredictionFiles,
    ReferenceContender,
    Subgroups,
    TargetName,
)
from histodistill.cli.options import Json, OutFolder, cell_meanings, require_used
from histodistill.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

# Options that speak of the table of labels.
_OF_LABELS = ("target", "column", "classes", "positive", "meanings", "patient_column")


def command(
    context: typer.Context,
    predictions: PredictionFiles,
    out: OutFolder,
    clinical: LabelFile = None,
    target: TargetName = None,
    column: LabelColumn = None,
    classes: ClassNames = None,
    positive: PositiveClass = None,
    meanings: Meanings = None,
    patient_column: PatientColumn = "PATIENT",
    reference: ReferenceContender = None,
    metric: MoreMetrics = None,
    by: Subgroups = None,
    table: PatientTables = None,
    title: Headline = "Evaluation",
    _json: Json = False,
) -> None:
    """Evaluate predictions: metrics with intervals, tables, plots and a report page.

    Out-of-fold predictions of `crossval` hold their labels. Predictions of `predict` for an
    external cohort get theirs from --clinical. They say which target, classes and positive class
    they are of; --target, --classes and --positive say it for files that do not, and are refused
    where they contradict the file.
    """
    from histodistill.cli.results import show_aucs, show_calibration
    from histodistill.evaluation import Question, contenders_in
    from histodistill.report import Report, write_report
    from histodistill.report.evidence import Evidence
    from histodistill.workflows.external_evaluation import (
        LabelTable,
        label_predictions,
    )

    needs = {option: ["clinical"] for option in _OF_LABELS if option != "patient_column"}
    tables = ["clinical", "table"]
    require_used(context, needs | {"patient_column": tables, "by": tables, "table": ["by"]})
    metrics = _metrics(metric or [])
    models: dict[str, str] = {}
    if clinical is None:
        joined = _with_their_labels(predictions)
    else:
        labels = LabelTable(clinical, column, patient_column, cell_meanings(meanings or []))
        labelled = label_predictions(
            predictions, labels, Question(target, _named(classes), positive)
        )
        say_notes(labelled.notes)
        joined = labelled.table
        models = {f"Method {name}": text for name, text in labelled.bundles.items()}
        columns = column or ", ".join(dict.fromkeys(joined["target"]))
        models["Labels"] = f"{located(clinical)}, column {columns}"
    known = [contender.name for contender in contenders_in(joined)]
    if reference is not None and reference not in known:
        raise InputError(f"no contender {reference!r}: --reference is one of {', '.join(known)}")
    files = [*([clinical] if clinical else []), *(table or [])]
    groups = _groups(files, patient_column, by or [], joined)
    external = clinical is not None
    show_aucs(joined, external=external)
    show_calibration(joined)
    report = Report(
        title=title,
        predictions=joined,
        settings=models,
        reference=reference,
        metrics=metrics,
        external=external,
        evidence=Evidence(groups=groups, asked=frozenset(groups)),
    )
    page = write_report(out, report)
    say(f"Report: {located(page)}")
    answer(report=page)


def _groups(
    files: list[Path], patient_column: str, columns: list[str], predictions: pd.DataFrame
) -> dict[str, pd.Series]:
    """Columns of the user's tables by which subgroups are formed, values by patient.

    Raises:
        InputError: A column that no table has, or that says nothing of anybody predicted.
    """
    from histodistill.experiment.patient_facts import user_columns

    notes: list[str] = []
    tables, answered = dict.fromkeys(files, patient_column), set(predictions["PATIENT"])
    found = user_columns(tables, columns, "--by", answered, notes)
    say_notes(notes)
    return found


def _metrics(more: list[str]) -> tuple[str, ...]:
    """The standard metrics and those that are asked for, which must exist and work."""
    from histodistill.evaluation import require_metrics, with_standard

    require_metrics(more)
    return with_standard(more)


def _with_their_labels(paths: list[Path]) -> pd.DataFrame:
    """Out-of-fold predictions of one or more files, checked as one table."""
    import pandas as pd

    from histodistill.evaluation import check_predictions, read_predictions

    notes: list[str] = []
    tables = [read_predictions(path, notes) for path in paths]
    say_notes(notes)
    # One file's rows must not be averaged with another's that has the same method names.
    return check_predictions(
        pd.concat(tables, ignore_index=True), ", ".join(str(path) for path in paths)
    )


def _named(classes: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in classes.split(",")) if classes else ()
