"""More than two classes, from the table to the report: intrinsic subtypes as an example."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.cli.command_line import fail, succeed
from tests.experiment.small import change_table, experiment_file

SUBTYPES = ("LumA", "LumB", "Her2", "Basal")


def test_four_classes_from_crossval_to_evaluation(cohort):
    folder = cohort.parent
    change_table(
        cohort / "clinical.csv",
        lambda table: table.assign(PAM50=[("", *SUBTYPES)[i % 5] for i in range(len(table))]),
    )
    experiment = experiment_file(
        folder,
        {
            "targets": {"ER": None, "PAM50": {"classes": list(SUBTYPES)}},
            "methods": {"abmil": None},
            "training": {"monitor": "student_auc"},
        },
    )
    told = succeed("audit", experiment).stdout
    assert "Basal" in told
    told = succeed("crossval", experiment).stdout
    assert "PAM50" in told
    predictions = pd.read_csv(folder / "results" / "predictions.csv")
    columns = [f"student:{name}" for name in SUBTYPES]
    mkd = predictions[predictions["method"] == "mkd"]
    np.testing.assert_allclose(mkd[columns].sum(axis=1), 1)
    assert len(mkd) == 32
    summary = pd.read_csv(folder / "results" / "report" / "tables" / "summary.csv")
    auc = summary[(summary["metric"] == "auc") & (summary["method"] == "mkd")]
    assert set(auc["network"]) == {"student", "multimodal", "genomic"}
    assert auc["low"].notna().all()

    bundle = folder / "bundle"
    succeed("train", experiment, "--out", bundle)
    words = (
        *("predict", bundle, "--features", cohort / "features"),
        *("--slides-table", cohort / "slides.csv", "--out", folder / "new.csv"),
    )
    succeed(*words)
    table = pd.read_csv(folder / "new.csv")
    assert len(table) == 40
    assert set(table["call"]) <= set(SUBTYPES)
    likeliest = table[columns].to_numpy().argmax(axis=1)
    assert table["call"].tolist() == [SUBTYPES[index] for index in likeliest]
    assert fail(*words, "--threshold", 0.5) == [
        "a threshold applies to two classes, and this bundle has more"
    ]
    told = succeed(
        *("evaluate", folder / "new.csv", "--clinical", cohort / "clinical.csv"),
        *("--target", "PAM50", "--classes", ",".join(SUBTYPES), "--out", folder / "evaluation"),
    ).stdout
    assert "PAM50" in told
    succeed(
        *("compare", folder / "results" / "predictions.csv", "--reference", "mkd student"),
        *("--out", folder / "comparison"),
    )
