"""A report with everything that a run can tell of its patients."""

from __future__ import annotations

import numpy as np
import pandas as pd

from histodistill.evaluation import check_predictions
from histodistill.evaluation.learning import LabelledPart
from histodistill.report import Report
from histodistill.report.evidence import Evidence
from tests.evaluation.simulated import two_class

N = 90


def predictions() -> pd.DataFrame:
    """Two targets, of which one has two networks, two methods and two seeds."""
    methods = (("abmil", 1.5), ("mkd", 2.0))
    tables = [
        two_class(N, methods, seeds=(0, 1), networks=("student", "genomic"), target="ER"),
        two_class(N, methods[:1], target="PR"),
    ]
    return check_predictions(pd.concat(tables, ignore_index=True), "simulated")


def evidence(table: pd.DataFrame) -> Evidence:
    """What is known of its patients."""
    generator = np.random.default_rng(1)
    names = sorted(table["PATIENT"].unique())
    patients = pd.DataFrame(
        {
            "site": [f"S{k // 30}" for k in range(len(names))],
            "age": generator.integers(30, 80, len(names)).astype(float),
            "slides": 1 + (np.arange(len(names)) % 5 == 0),
            "patches": generator.integers(20, 4000, len(names)),
        },
        index=pd.Index(names, name="PATIENT"),
    )
    labels = table.drop_duplicates(["PATIENT", "target"]).pivot_table(
        index="PATIENT", columns="target", values="label", aggfunc="first"
    )
    sites = labels.melt(ignore_index=False, value_name="class").join(patients["site"])
    return Evidence(
        flow=pd.DataFrame(
            [
                ("", "patients named in any input", N + 3, ""),
                ("", "", 3, "left out: neither slides nor genomics"),
                ("ER", "patients with a class", N, ""),
            ],
            columns=["target", "step", "patients", "reason"],
        ),
        sites=sites.groupby(["target", "site", "class"]).size().reset_index(name="patients"),
        folds=pd.DataFrame({"target": ["ER"], "fold": [0], "part": ["test"], "patients": [48]}),
        patients=patients,
        groups={
            "Site": patients["site"],
            "Age": patients["age"],
            "ER": labels["ER"],
            "PR": labels["PR"],
        },
        clinical=patients[["age", "site"]],
        features=pd.DataFrame(generator.normal(size=(len(names), 4)), index=names),
        checks=pd.DataFrame({"Check": ["twice"], "Found": ["none"], "Where": ["folds"]}),
    )


def full_report() -> Report:
    """All of it."""
    table = predictions()
    return Report(
        "Everything",
        table,
        reference="abmil student",
        methods=("mkd", "abmil"),
        evidence=evidence(table),
        explained={
            "genes": pd.DataFrame(
                {
                    "network": "genomic",
                    "class": "positive",
                    "gene": [f"G{k}" for k in range(20)],
                    "share": np.linspace(0.2, 0.01, 20),
                }
            ),
            "maps": pd.DataFrame(
                {
                    "network": "student",
                    "verdict": ["faithful: SRG 0.2", "faithful: SRG 0.3", "none"],
                }
            ),
        },
        excluded=pd.DataFrame({"PATIENT": ["X"], "reason": ["no slide"]}),
        learning=[
            LabelledPart(table.assign(student=table["student"] ** power), {"ER": n, "PR": n / 2})
            for power, n in ((0.2, 18.0), (1.0, 72.0))
        ],
        learning_notes=["PR: 0.125 of the labels are too few."],
    )
