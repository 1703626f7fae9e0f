"""Write docs/results.md, and the README's table, from finished cross-validations.

    histodistill suite experiments/tcga-brca-suite.yaml --reference abmil
    histodistill suite experiments/tcga-brca-sites.yaml --reference abmil
    python experiments/results.py

Every figure in the documents comes from the predictions that the first two commands wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from histodistill import compare, contenders_in, evaluate, read_experiment, read_predictions
from histodistill.evaluation import Leaderboard, build_leaderboard
from histodistill.experiment import Experiment
from histodistill.files import write_text
from histodistill.report import Section, Table, headline_table, plain_table, to_markdown
from histodistill.report.paper_tables import paper_markdown, paper_table

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "docs" / "results.md"
README = HERE.parent / "README.md"
START, END = "<!-- results: written by experiments/results.py -->", "<!-- end of results -->"
RANDOM, SITES = HERE / "tcga-brca-suite.yaml", HERE / "tcga-brca-sites.yaml"

REFERENCE, RECOMMENDED, FAITHFUL = "abmil", "programmes", "mkd"
MAIN = ("logistic-slides", REFERENCE, FAITHFUL)
# Methods beside the same in bfloat16, on whole bags and judged by sampled ones, where run.
FASTER = (REFERENCE, FAITHFUL)
WAYS = ("", "-bfloat16", "-whole-bags", "-sampled-validation")
HEADLINE = ("logistic-slides", REFERENCE, FAITHFUL, RECOMMENDED, "logistic-mrna", "ERBB2-mrna")

_INTRODUCTION = """\
# Results

Made by `python experiments/results.py` from the predictions of
`histodistill suite experiments/tcga-brca-suite.yaml` (folds given with the data, stratified by
label) and `histodistill suite experiments/tcga-brca-sites.yaml` (no hospital in two parts).
Research use only.

The cohort: {patients} labelled TCGA-BRCA patients with open slide features (maps of published
CNNs and H&E morphometrics, 640 numbers a patch: not a pathology foundation model; 607 of them
are the same in every patch of a patient), cBioPortal mRNA z-scores of 1,558 genes, ESR1 and PGR
not among them, and copy number of 1,333 genes. Every network is trained by the same engine, with
the paper's optimisation unless its recipe says otherwise, and draws 64 patches of a bag an epoch;
rows named `-whole-bags` read all. Genes are chosen and scaled on the training patients of each
fold, the epoch and the threshold on its validation patients, and nothing on its test patients.
{seeds} The configuration names at its end the methods that were not run.
Finished teachers are the same for all methods named `-offline`, and stand once.

- *mean ± sd*: over folds, of the mean over seeds.
- *pooled*: all patients together, the mean over seeds, and its 95 % interval (docs/statistics.md).
"""

_CAPTION = """\
TCGA-BRCA, {least} to {most} labelled patients a target, open patch features (published CNNs and
morphometrics, not a pathology foundation model), five folds given with the data, in which patients
of one hospital are in several parts. Mean ± sd over folds of the mean over seeds; pooled: all
patients together, the mean over seeds, with its 95 % interval (docs/statistics.md). Paired tests of
the slide-only answers against `abmil`: {significant} of {compared} significant after Holm's
correction (smallest adjusted p {smallest}). Nothing is marked as the best.
"""

_CAPTION_SITES = """
The same with hospitals kept apart (no hospital in two parts), which is nearer to what a new
hospital will see:
"""

_RECOMMENDED = """
## The recommended recipe

`programmes` against other answers from slides alone, and its multimodal answer against its
genomic one: pooled AUC on the same patients, difference with its 95 % bootstrap interval,
DeLong's test, and its p-value after Holm's correction. All students are compared, and corrected for
{students} comparisons; told are the simple and the faithful ones, and the best of the others by its
mean over folds and targets (`{next}`). Its settings were chosen on held-out parts of the training
patients (see docs/methods.md). Its five members together learn from the validation patients as
well, which the other rows hold out.
"""

_MEANS = """
Mean of folds of the student, and the mean over the targets:
"""

_FASTER = """
## What is faster, and what it changes

Student's mean of folds. Sampling 64 patches of a bag in each epoch is what all other rows do;
whole bags, bfloat16 products, and epochs that 64 patches of each validation bag judge
(`-sampled-validation`) are the same methods otherwise.
"""

_SITES = """
## Hospitals kept apart

The main rows in five folds in which no hospital is in two parts, mean ± sd over folds.
"""


def main() -> None:
    """Write both documents."""
    experiment = read_experiment(RANDOM)
    predictions = read_predictions(experiment.output / "predictions.csv")
    costs = pd.read_csv(experiment.output / "costs.csv")
    board = build_leaderboard(predictions, costs, reference={"student": REFERENCE})
    parts = [
        _INTRODUCTION.format(patients=predictions["PATIENT"].nunique(), seeds=_seeds(experiment)),
        "## Every method\n",
        paper_markdown(paper_table(board)),
        *_recommended(predictions, board),
        _FASTER,
        _means(board, [f"{name}{way}" for name in FASTER for way in WAYS]),
        *_sites(),
    ]
    write_text(DOCUMENT, "\n".join(parts))
    chosen = predictions[predictions["method"].isin(HEADLINE)]
    _into_readme("\n".join(_headline(chosen, board)))


def _seeds(experiment: Experiment) -> str:
    """How many seeds the rows have, in a sentence."""
    more = [name for name in experiment.methods if len(experiment.seeds_of(name)) > 1]
    most = max(len(experiment.seeds_of(name)) for name in experiment.methods)
    listing = ", ".join(f"`{name}`" for name in more)
    return f"Rows of {listing}: {most} seeds; every other row: one seed."


def _headline(chosen: pd.DataFrame, board: Leaderboard) -> Iterator[str]:
    """The README's tables, with what must be known to read them; nothing in them is marked."""
    patients = chosen.dropna(subset="label").groupby("target")["PATIENT"].nunique()
    significant = int((board.comparisons["p_holm"] < 0.05).sum())
    yield _CAPTION.format(
        least=patients.min(),
        most=patients.max(),
        compared=len(board.comparisons),
        significant=significant or "None",
        smallest=f"{board.comparisons['p_holm'].min():.2g}",
    )
    yield to_markdown(_unmarked(headline_table(evaluate(chosen).summary)))
    found = read_experiment(SITES).output / "predictions.csv"
    if found.exists():
        yield _CAPTION_SITES
        yield to_markdown(_unmarked(headline_table(evaluate(read_predictions(found)).summary)))


def _unmarked(table: Table) -> Table:
    """The table without places: a place is no test."""
    sections = (
        Section(part.heading, tuple(tuple(replace(c, rank=0) for c in row) for row in part.rows))
        for part in table.sections
    )
    return Table(table.header, tuple(sections))


def _into_readme(table: str) -> None:
    """Put the headline table between its two marks."""
    before, _, rest = README.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    write_text(README, f"{before}{START}\n\n{table}\n\n{END}{after}")


def _recommended(predictions: pd.DataFrame, board: Leaderboard) -> Iterator[str]:
    contenders = contenders_in(predictions)
    students = [c for c in contenders if c.network == "student"]
    own = [c for c in contenders if c.name.startswith(f"{RECOMMENDED} ")]
    teachers = [c for c in own if c.network != "student"]
    table = compare(students, f"{RECOMMENDED} student")
    others = _wide(board)["mean"].drop([RECOMMENDED, *MAIN], errors="ignore")
    chosen = [*MAIN, str(others.idxmax())]
    yield _RECOMMENDED.format(students=len(table), next=chosen[-1])
    yield _comparison(table[table["contender"].isin([f"{name} student" for name in chosen])])
    yield _comparison(compare(teachers, f"{RECOMMENDED} genomic", common_patients=True))
    yield _MEANS
    yield _means(board, [RECOMMENDED, *chosen])


def _comparison(table: pd.DataFrame) -> str:
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
    return to_markdown(plain_table(table[list(columns)].rename(columns=columns))) + "\n"


def _wide(board: Leaderboard) -> pd.DataFrame:
    """Mean of folds of every student, by target and over the targets."""
    rows = board.results[board.results["network"] == "student"]
    wide = rows.pivot_table(index="method", columns="target", values="fold_auc", sort=False)
    wide["mean"] = wide.mean(axis=1)
    return wide


def _means(board: Leaderboard, methods: Sequence[str]) -> str:
    """The same of some methods, as a table."""
    wide = _wide(board)
    known = [name for name in methods if name in wide.index]
    return to_markdown(plain_table(wide.loc[known].reset_index())) + "\n"


def _sites() -> Iterator[str]:
    """The site-preserved table, where that cross-validation has finished."""
    found = read_experiment(SITES).output / "predictions.csv"
    if found.exists():
        yield _SITES
        yield to_markdown(headline_table(evaluate(read_predictions(found)).summary)) + "\n"


if __name__ == "__main__":
    main()
