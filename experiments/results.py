"""Write docs/results.md, and the README's table, from a finished cross-validation.

    histodistill crossval experiments/tcga-brca-open.yaml
    python experiments/results.py

Every figure in the document comes from the predictions that the first command wrote.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from histodistill import compare, contenders_in, evaluate, read_experiment, read_predictions
from histodistill.files import write_text
from histodistill.report import headline_table, plain_table, to_markdown

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "docs" / "results.md"
README = HERE.parent / "README.md"
START, END = "<!-- results: written by experiments/results.py -->", "<!-- end of results -->"

_INTRODUCTION = """\
# Results

Made by `python experiments/results.py` from the predictions of
`histodistill crossval experiments/tcga-brca-open.yaml`. Research use only.

The cohort: {patients} labelled TCGA-BRCA patients with open slide features (maps of published
CNNs and H&E morphometrics, 640 numbers a patch: not a pathology foundation model) and
cBioPortal mRNA z-scores of 1,558 genes, ESR1 and PGR not among them. The folds are given with
the data, stratified by label; {seeds} seeds. Genes are chosen and scaled on the training
patients of each fold, the epoch and the threshold on its validation patients, and nothing on
its test patients.

- *Mean of folds*: AUC of each fold and seed, mean ± standard deviation, as papers print it.
- *Pooled*: every patient once, with the probability averaged over the seeds, and DeLong's
  95 % interval.
"""

_COMPARISONS = """
## Paired comparisons

Pooled AUC on the same patients: difference with its 95 % bootstrap interval, DeLong's test,
and its p-value after Holm's correction over all rows of the table.
"""

_NETWORKS = {
    "student": "slides",
    "multimodal": "slides and genomics",
    "genomic": "genomics",
}


def main() -> None:
    """Write both documents."""
    experiment = read_experiment(HERE / "tcga-brca-open.yaml")
    predictions = read_predictions(experiment.output / "predictions.csv")
    parts = [
        _INTRODUCTION.format(
            patients=predictions["PATIENT"].nunique(), seeds=len(experiment.seeds)
        ),
        *(_aucs(predictions, target) for target in experiment.targets),
        _COMPARISONS,
        _comparisons(predictions),
    ]
    write_text(DOCUMENT, "\n".join(parts))
    _into_readme(to_markdown(headline_table(evaluate(predictions).summary)))


def _into_readme(table: str) -> None:
    """Put the headline table between its two marks."""
    before, _, rest = README.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    write_text(README, f"{before}{START}\n\n{table}\n\n{END}{after}")


def _aucs(predictions: pd.DataFrame, target: str) -> str:
    summary = evaluate(predictions[predictions["target"] == target]).summary
    rows = [
        {
            "answers from": _NETWORKS[row["network"]],
            "method": row["method"],
            "network": row["network"],
            "mean of folds": f"{row['mean']:.3f} ± {row['sd']:.3f}",
            "pooled": f"{row['estimate']:.3f}",
            "95 % interval": f"{row['low']:.3f} to {row['high']:.3f}",
            "patients": row["n_patients"],
            "positive": row["n_positive"],
        }
        for row in summary[summary["metric"] == "auc"].to_dict("records")
    ]
    order = list(_NETWORKS.values())
    rows.sort(key=lambda row: order.index(str(row["answers from"])))
    return f"## {target}\n\n{to_markdown(plain_table(pd.DataFrame(rows)))}\n"


def _comparisons(predictions: pd.DataFrame) -> str:
    contenders = contenders_in(predictions)
    student = [c for c in contenders if c.network == "student"]
    teachers = [c for c in contenders if c.network != "student"]
    teachers = [c for c in teachers if c.name.startswith(("mkd", "logistic"))]
    tables = [
        compare(student, "abmil student"),
        compare(teachers, "mkd multimodal", common_patients=True),
    ]
    columns = {
        "target": "target",
        "contender": "contender",
        "reference": "against",
        "n_patients": "patients",
        "auc": "AUC",
        "auc_reference": "AUC against",
        "difference": "difference",
        "low": "from",
        "high": "to",
        "p_delong": "p (DeLong)",
        "p_holm": "p (Holm)",
    }
    return "\n".join(
        to_markdown(plain_table(table[list(columns)].rename(columns=columns))) + "\n"
        for table in tables
    )


if __name__ == "__main__":
    main()
