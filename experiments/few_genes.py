"""Slides beside genes, where genes are whole, few or noisy; writes its table of docs/methods.md.

    python experiments/few_genes.py [--folder DIR] [--print-only]

The folds, targets and mRNA of experiments/tcga-brca-suite.yaml (no copy number), and `programmes`,
one seed. Genes are taken away from everybody, training patients too: those that a small panel or
another platform would not have measured, drawn once; or noise is added to every value. Each answer
from both is compared with that from genes alone of the same model, on the same patients.
What an earlier call finished is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from histodistill import cross_validate, load, read_experiment
from histodistill.evaluation import roc_auc
from histodistill.evaluation.comparison import holm
from histodistill.evaluation.delong import delong_test
from histodistill.files import write_text

HERE = Path(__file__).resolve().parent
SUITE = HERE / "tcga-brca-suite.yaml"
DOCUMENT = HERE.parent / "docs" / "methods.md"
START, END = "<!-- few genes: written by experiments/few_genes.py -->", "<!-- end -->"
NETWORKS = ("student", "genomic", "multimodal")


def kept(number: int, table: pd.DataFrame) -> pd.DataFrame:
    """So many genes of a table, genes x samples, drawn at random."""
    return table.sample(number, random_state=number).sort_index()


def noisy(table: pd.DataFrame) -> pd.DataFrame:
    """The values with noise of three standard deviations of a z-score."""
    return table + np.random.default_rng(0).normal(0, 3, table.shape)


CONDITIONS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "20 genes": lambda table: kept(20, table),
    "noise of 3 sd": noisy,
    "all genes": lambda table: table,
}


def main() -> None:
    """Train under every condition, and write the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=HERE.parent / "demo" / "few-genes")
    parser.add_argument("--print-only", action="store_true", help="leave the document as it is")
    given = parser.parse_args()
    tests = [
        row for name in CONDITIONS for row in judged(name, predicted(given.folder.resolve(), name))
    ]
    table = "\n".join(shown(pd.DataFrame(tests)))
    print(table)
    if not given.print_only:
        before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(START)
        after = rest.partition(END)[2]
        write_text(DOCUMENT, f"{before}{START}\n\n{table}\n\n{END}{after}")


def predicted(folder: Path, condition: str) -> pd.DataFrame:
    """Out-of-fold predictions of `programmes` on genes under a condition."""
    place = folder / condition.replace(" ", "-")
    place.mkdir(parents=True, exist_ok=True)
    settings = yaml.safe_load(SUITE.read_text(encoding="utf-8"))
    absolute(settings)
    block = settings["genomics"]["mrna"]
    degrade(Path(block["file"]), place / "mrna.txt", CONDITIONS[condition])
    settings["genomics"] = {"mrna": {**block, "file": "mrna.txt"}}
    settings |= {"methods": {"programmes": {}}, "seeds": [0], "baselines": [], "output": "results"}
    settings["name"] = f"Few genes: {condition}"
    write_text(place / "experiment.yaml", yaml.safe_dump(settings))
    experiment = read_experiment(place / "experiment.yaml")
    return cross_validate(experiment, load(experiment))


def absolute(settings: dict[str, dict[str, object]]) -> None:
    """Make paths that are relative to the suite's file absolute."""
    for holder, key in (
        (settings["cohort"], "clinical"),
        (settings["cohort"], "slides"),
        (settings["features"], "directory"),
        (settings["splits"], "directory"),
        (settings["genomics"]["mrna"], "file"),
    ):
        holder[key] = str((SUITE.parent / str(holder[key])).resolve())  # type: ignore[index]


def degrade(source: Path, target: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    """Write a matrix of genes as a condition leaves it, once."""
    if not target.exists():
        table = pd.read_csv(source, sep="\t").drop(columns="Entrez_Gene_Id")
        change(table.set_index("Hugo_Symbol")).round(4).to_csv(target, sep="\t")


def judged(condition: str, predictions: pd.DataFrame) -> Iterator[dict[str, object]]:
    """AUC of each network pooled over patients who have both, and both against genes alone."""
    for target, rows in predictions.groupby("target", sort=False):
        paired = rows.dropna(subset=list(NETWORKS))
        positive = (paired["label"] == "positive").to_numpy()
        aucs = {name: roc_auc(positive, paired[name].to_numpy(float)) for name in NETWORKS}
        test = delong_test(positive, paired["multimodal"], paired["genomic"])
        yield {"condition": condition, "target": target, "n": len(paired), "p": test.p, **aucs}


def shown(rows: pd.DataFrame) -> Iterator[str]:
    """The table in Markdown; p is adjusted over all rows."""
    rows = rows.assign(holm=holm(rows["p"]))
    yield "| genes | target | patients | slides | genes | slides and genes | gain | p (Holm) |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows.to_dict("records"):
        gain = row["multimodal"] - row["genomic"]
        aucs = " | ".join(f"{row[name]:.3f}" for name in NETWORKS)
        yield (
            f"| {row['condition']} | {row['target']} | {row['n']} | {aucs} | {gain:+.3f} | "
            f"{row['holm']:.2g} |"
        )


if __name__ == "__main__":
    main()
