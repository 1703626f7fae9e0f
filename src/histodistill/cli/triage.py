"""The `histodistill triage` command."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histodistill.cli.console import answer, counted, located, say, say_notes, show
from histodistill.cli.evaluate_options import PatientColumn
from histodistill.cli.options import Json, one_of
from histodistill.cli.policy import (
    CostsOption,
    MaxFalseAlarms,
    MaxMissed,
    MinPPV,
    stated_policy,
)
from histodistill.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from histodistill.calibration.triage import Bound, TriagePolicy


def command(
    predictions: Annotated[
        Path,
        typer.Argument(metavar="PREDICTIONS", help="Out-of-fold predictions.csv of a run."),
    ],
    target: Annotated[
        str | None, typer.Option(metavar="NAME", help="Target, where there are several.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="Method, where there are several.")
    ] = None,
    clinical: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table with the hospital of each patient; TCGA barcodes tell theirs.",
        ),
    ] = None,
    site_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of the hospital in --clinical.")
    ] = None,
    patient_column: PatientColumn = "PATIENT",
    network: Annotated[
        str, typer.Option(metavar="NAME", help="Network: student, multimodal or genomic.")
    ] = "student",
    max_missed: MaxMissed = None,
    max_false_alarms: MaxFalseAlarms = None,
    min_ppv: MinPPV = None,
    costs: CostsOption = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the tables; by default beside the file."),
    ] = None,
    _json: Json = False,
) -> None:
    """Who could be spared a test: positive, negative, or send to immunohistochemistry.

    Thresholds keep the risk that you state, with 95 % confidence, for patients like these, or,
    where no hospital is in two folds, for those of other hospitals; they are chosen on out-of-fold
    answers, and judged on folds that they were not chosen on. A policy that the cohort cannot
    support is refused with the number of patients it would take. Tells how well the probabilities
    are calibrated as well. Research use only; not a medical device.
    """
    from histodistill.calibration.answers import labelled_answers
    from histodistill.calibration.out_of_fold import calibration_out_of_fold, triage_out_of_fold
    from histodistill.evaluation import read_predictions
    from histodistill.spreadsheets import write_csv

    policy = stated_policy(max_missed, max_false_alarms, min_ppv, costs)
    if policy is None:
        raise InputError("state `--max-missed`, `--max-false-alarms`, `--min-ppv` or `--costs`")
    notes: list[str] = []
    rows = read_predictions(predictions, notes)
    say_notes(notes)
    target = one_of("target", target, sorted(rows["target"].unique()))
    rows = rows[rows["target"] == target]
    method = one_of("method", method, sorted(rows["method"].unique()))
    sites = _sites(clinical, site_column, patient_column, rows["PATIENT"].unique().tolist())
    found = labelled_answers(rows[rows["method"] == method], network, sites)
    calibration = calibration_out_of_fold(found.y, found.p, found.fold)
    if policy.costs is not None:
        found = found.calibrated()
    shown = calibration[["calibrator", "ece", "brier", "slope", "intercept"]]
    show(shown, f"{target}, {method} {network}: calibration, out of fold")
    made = triage_out_of_fold(policy, found.y, found.p, found.fold, found.hospital)
    for side, bound in (("negative", made.rule.negative), ("positive", made.rule.positive)):
        if bound is not None:
            say(_rule(side, bound, policy))
    folder = out or predictions.parent / "triage"
    write_csv(folder / "calibration.csv", calibration)
    if made.summary is not None and made.answers is not None:
        show(made.summary, "Triage, each fold by thresholds chosen on the others")
        write_csv(folder / "triage.csv", made.summary)
        write_csv(folder / "patients.csv", found.table().assign(triage=made.answers))
    say_notes([made.note] if made.note else [])
    say(f"{counted(len(found.p), 'patient')}: {located(folder)}")
    answer(calibration=calibration, rule=asdict(made.rule), summary=made.summary, tables=folder)


def _sites(
    clinical: Path | None, column: str | None, patient_column: str, patients: list[str]
) -> pd.Series | None:
    """The hospital of each patient, from the table or from TCGA barcodes; None where none is known.

    Raises:
        InputError: Table and column are not both given, or tell nobody's hospital.
    """
    import pandas as pd

    from histodistill.barcodes import site_of
    from histodistill.experiment.patient_facts import user_columns

    if (clinical is None) != (column is None):
        raise InputError("`--clinical` and `--site-column` go together")
    if clinical is None or column is None:
        known = pd.Series({patient: site_of(patient) for patient in patients}, dtype=object)
        return known if known.notna().any() else None
    notes: list[str] = []
    table = {clinical: patient_column}
    known = user_columns(table, [column], "--site-column", patients, notes)[column]
    say_notes(notes)
    return known


def _rule(side: str, bound: Bound, policy: TriagePolicy) -> str:
    sign = "below" if side == "negative" else "from"
    of = {"negative": "positive patients", "positive": "negative patients"}[side]
    if side == "positive" and policy.min_ppv is not None:
        of = "those called positive"
    return (
        f"{side} {sign} {bound.threshold:.3f}: {counted(bound.errors, 'error')} of {bound.of} "
        f"{of}; {bound.promise}"
    )
