"""Write docs/results.md, docs/all-methods.md and the README's tables from finished runs.

    histodistill suite experiments/tcga-brca-main.yaml --reference abmil
    histodistill suite experiments/tcga-brca-sites.yaml --reference abmil
    histodistill suite experiments/tcga-brca-repeats.yaml --reference abmil
    histodistill suite experiments/tcga-brca-labels.yaml --reference abmil
    histodistill report runs/tcga-brca-labels --learning-curves
    histodistill suite experiments/tcga-brca-suite.yaml --reference abmil
    python experiments/results.py

Every figure in the documents comes from the predictions that the first commands wrote. A document
is written where all of its runs have finished, and is left as it is otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from ceiling import limits

from histodistill import compare, contenders_in, evaluate, read_experiment, read_predictions
from histodistill.evaluation import (
    NETWORKS,
    Leaderboard,
    build_leaderboard,
    fold_aucs,
    fold_differences,
    holm,
    resampled_test,
)
from histodistill.evaluation.costs import mean_costs
from histodistill.files import write_text
from histodistill.report import Section, Table, headline_table, plain_table, to_markdown
from histodistill.report.paper_tables import paper_markdown, paper_table
from histodistill.report.tables import INPUTS
from histodistill.training.run.costs import COSTS

HERE = Path(__file__).resolve().parent
DOCS, README = HERE.parent / "docs", HERE.parent / "README.md"
START, END = "<!-- results: written by experiments/results.py -->", "<!-- end of results -->"
MAIN, SITES, REPEATS, LABELS, SUITE = (
    HERE / f"tcga-brca-{name}.yaml" for name in ("main", "sites", "repeats", "labels", "suite")
)

RECOMMENDED = "programmes"
# What the recommended student is compared with; fixed before the runs were made.
RIVALS = ("abmil", "logistic-slides")
HEADLINE = (
    "logistic-slides",
    "abmil",
    "abmil-five",
    "mkd",
    "programmes-single",
    RECOMMENDED,
    "logistic-mrna",
    "ERBB2-mrna",
)
# Methods beside the same in bfloat16, on whole bags and judged by sampled ones, where run.
FASTER = ("abmil", "mkd")
WAYS = ("", "-bfloat16", "-whole-bags", "-sampled-validation")

_COHORT = """\
The cohort: {patients} labelled TCGA-BRCA patients with open slide features (maps of published
CNNs and H&E morphometrics, 640 numbers a patch: not a pathology foundation model; 607 of them
are the same in every patch of a patient), cBioPortal mRNA z-scores of 1,558 genes, ESR1 and PGR
not among them, and copy number of 1,333 genes. Every network is trained by the same engine, with
the paper's optimisation unless its recipe says otherwise, and draws 64 patches of a bag an epoch.
Genes are chosen and scaled on the training patients of each fold, the epoch and the threshold on
its validation patients, and nothing on its test patients. `programmes` finds no prototypes of
tissue here, where the patches of a patient hardly differ. Research use only.

- *mean ± sd*: AUC over folds, of the mean over seeds.
- *pooled*: all patients together, the mean over seeds, and its 95 % interval
  ([statistics](statistics.md)).
"""

_RESULTS = """\
# Results

Made by `python experiments/results.py` from the predictions of suites in `experiments/`:
`tcga-brca-main.yaml` (folds given with the data, stratified by label; patients of one hospital are
in several parts), `tcga-brca-sites.yaml` (no hospital in two parts, nearer to what a new hospital
will see) and `tcga-brca-repeats.yaml` (ten divisions).
{seeds}
`programmes` is a model of five members, trained with different validation parts, so that together
they learn from the validation patients too; `programmes-single` is one of them, `abmil-five` is
`abmil` with five. Every other row is one network.
Nothing is marked as the best: the tests say what is beyond chance.
All {methods} methods, most with one seed: [all methods](all-methods.md).

"""

_TESTED = """
`{recommended}` against others, slides alone: difference of the pooled AUC (mean over seeds) on the
same patients with its 95 % bootstrap interval, DeLong's test, and Holm's correction over the
targets of each comparison, and over all rows.
"""

_FUSED = """
Slides and genomics together against genomics alone, of the same model:
"""

_REPEATED = """
## Ten divisions

{recommended} against others, slides alone, one seed, ten divisions at random into five folds: mean
over {folds} folds of the difference in AUC, with the interval and p-value of the corrected
resampled t-test ([statistics](statistics.md)), which counts the luck of training as well, Holm's
correction over the targets of each comparison and over all rows, and how many of the ten divisions
have a mean difference above 0.
"""

_REPEATED_POOLED = """
The same pooled: AUC of all patients, the mean over the ten divisions, with a bootstrap interval of
patients and DeLong's test of these means, which takes the trained models as they are:
"""

_LABELLED = """
## How many labels

`tcga-brca-labels.yaml`: the folds given, one seed, with an eighth, a quarter and half of the
labelled patients of training and validation; a patient outside a part loses the label alone, and
teaches `programmes` still. Pooled AUC from slides alone with its 95 % interval:
"""

_NEEDED = """
Labelled patients with which a student has the AUC that `abmil` has with all of them:
"""

_COST = """
## What a method costs

Seconds to train one model, with its teachers and all members, and milliseconds to answer for a
patient whose patches or genes are in memory (processor time of one thread beside other work; mean
of targets, folds and seeds). Reading patches and scaling genes, which all share, is not counted.
Rows were trained at different times: a third more or less says nothing.
"""

_README = """\
TCGA-BRCA, {least} to {most} labelled patients a target, open patch features (published CNNs and
morphometrics, not a pathology foundation model), five folds given with the data, in which patients
of one hospital are in several parts. {seeds} AUC, mean ± sd over folds of the mean over seeds;
pooled: all patients together, the mean over seeds, with its 95 % interval. `programmes` is a model
of five members. Nothing is marked as the best.
"""

_README_SITES = """
The same with hospitals kept apart (no hospital in two parts), which is nearer to what a new
hospital will see:
"""

_README_TESTED = """
Gain of `programmes` from slides alone, pooled AUC, with its 95 % interval and p after Holm's
correction over the three targets (paired DeLong's tests):
"""

_README_REPEATED = """
The same gain over ten divisions at random into five folds, one seed each (a test that counts the
luck of training as well is less sure, see [results](docs/results.md#ten-divisions)):
"""

_README_LABELS = """
Labelled patients with which `{recommended}` has the AUC from slides alone that `abmil` has with all
of them (one seed; [learning curves](docs/results.md#how-many-labels)): {needed}.
"""

_ALL = """\
# All methods

Made by `python experiments/results.py` from the predictions of
`histodistill suite experiments/tcga-brca-suite.yaml` (folds given with the data, stratified by
label). The main methods, with more seeds and hospitals kept apart, are in [results](results.md).

{cohort}
{seeds} The configuration names at its end the methods that were not run. Rows named `-whole-bags`
read all patches. Finished teachers are the same for all methods named `-offline`, and stand once.

"""

_FASTER = """
## What is faster, and what it changes

Student's mean of folds. Sampling 64 patches of a bag in each epoch is what all other rows do;
whole bags, bfloat16 products, and epochs that 64 patches of each validation bag judge
(`-sampled-validation`) are the same methods otherwise.
"""


def main() -> None:
    """Write the documents whose runs have finished."""
    if all(_finished(path) for path in (MAIN, SITES)):
        write_text(DOCS / "results.md", "\n".join(_results()))
        _into_readme("\n".join(_readme()))
    if _finished(SUITE):
        write_text(DOCS / "all-methods.md", "\n".join(_all_methods()))


def _finished(experiment: Path) -> bool:
    return _file_of(experiment).exists()


def _file_of(experiment: Path) -> Path:
    return read_experiment(experiment).output / "predictions.csv"


def _predictions(experiment: Path) -> pd.DataFrame:
    return read_predictions(_file_of(experiment))


def _seeds(experiment: Path) -> str:
    """How many seeds the rows have, in a sentence."""
    settings = read_experiment(experiment)
    numbers = {name: len(settings.seeds_of(name)) for name in settings.methods}
    if len(set(numbers.values())) == 1:
        return f"Every network: {next(iter(numbers.values()))} seeds."
    *named, least = sorted(set(numbers.values()), reverse=True)
    parts = []
    for number in named:
        rows = ", ".join(f"`{name}`" for name, own in numbers.items() if own == number)
        parts.append(f"{rows}: {number} seeds")
    return f"Rows of {'; of '.join(parts)}; every other network: {_counted(least)}."


def _counted(seeds: int) -> str:
    return "one seed" if seeds == 1 else f"{seeds} seeds"


def _results() -> Iterator[str]:
    total = len(read_experiment(SUITE).methods)
    yield _RESULTS.format(seeds=_seeds(MAIN), methods=total)
    given = _predictions(MAIN)
    yield _COHORT.format(patients=given["PATIENT"].nunique())
    for title, path in (("Folds given with the data", MAIN), ("Hospitals kept apart", SITES)):
        predictions = _predictions(path)
        yield f"\n## {title}\n"
        yield to_markdown(_unmarked(headline_table(evaluate(predictions).summary)))
        yield _TESTED.format(recommended=RECOMMENDED)
        yield _comparison(_against_rivals(predictions))
        yield _FUSED
        yield _comparison(_fusion(predictions))
    if _finished(REPEATS):
        yield from _ten_divisions(_predictions(REPEATS))
    yield from _labels()
    yield from _costs()
    yield from limits(given, RECOMMENDED)


def _against_rivals(predictions: pd.DataFrame) -> pd.DataFrame:
    """The recommended student against each rival: a row a target and rival."""
    students = {c.name: c for c in contenders_in(predictions) if c.network == "student"}
    tables = [
        compare(
            [students[f"{RECOMMENDED} student"], students[f"{rival} student"]], f"{rival} student"
        )
        for rival in RIVALS
    ]
    table = pd.concat(tables, ignore_index=True)
    return table.assign(p_holm_all=holm(table["p_delong"]))


def _fusion(predictions: pd.DataFrame) -> pd.DataFrame:
    own = [c for c in contenders_in(predictions) if c.name.startswith(f"{RECOMMENDED} ")]
    teachers = [c for c in own if c.network != "student"]
    return compare(teachers, f"{RECOMMENDED} genomic", common_patients=True)


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
        "p_holm_all": "p (Holm, all rows)",
    }
    known = [name for name in columns if name in table.columns]
    return to_markdown(plain_table(table[known].rename(columns=columns))) + "\n"


def _costs() -> Iterator[str]:
    """What every row of the folds given costs."""
    costs = mean_costs(pd.read_csv(read_experiment(MAIN).output / COSTS)).reset_index()
    by_method = costs.groupby("method", sort=False)
    table = pd.DataFrame({"training, s": by_method["training_seconds"].mean()})
    answers = costs.pivot_table("inference_ms", "method", "network")
    for network in answers.columns.intersection(list(NETWORKS)):
        table[f"{INPUTS[network].lower()}, ms"] = answers[network]
    yield _COST
    yield to_markdown(plain_table(table.reset_index())) + "\n"


def _ten_divisions(predictions: pd.DataFrame) -> Iterator[str]:
    fits = fold_aucs(predictions)
    table = pd.DataFrame(
        _division_row(fits, target, rival) for rival in RIVALS for target in fits["target"].unique()
    )
    table["p (Holm)"] = table.groupby("against")["p"].transform(holm)
    table["p (Holm, all rows)"] = holm(table["p"])
    yield _REPEATED.format(recommended=f"`{RECOMMENDED}`", folds=int(table.pop("folds").max()))
    yield to_markdown(plain_table(table)) + "\n"
    yield _REPEATED_POOLED
    yield _comparison(_against_rivals(predictions))


def _division_row(fits: pd.DataFrame, target: str, rival: str) -> dict[str, object]:
    differences = fold_differences(fits, target, "student", RECOMMENDED, rival)
    per_division = 5
    test = resampled_test(differences, test_share=1 / per_division)
    means = differences.reshape(-1, per_division).mean(axis=1)
    shown = fits[(fits["target"] == target) & (fits["network"] == "student")]
    aucs = shown.groupby("method")["auc"].mean()
    return {
        "target": target,
        "against": rival,
        "AUC": aucs[RECOMMENDED],
        "AUC against": aucs[rival],
        "difference": test.difference,
        "from": test.low,
        "to": test.high,
        "p": test.p,
        "divisions above 0": f"{(means > 0).sum()} of {len(means)}",
        "folds": test.n,
    }


def _labels() -> Iterator[str]:
    """Learning curves of labels, where they have been drawn."""
    tables = read_experiment(LABELS).output / "report" / "tables"
    for text, kind in ((_LABELLED, "learning"), (_NEEDED, "labels-needed")):
        found = [pd.read_csv(path) for path in sorted(tables.glob(f"{kind}-*.csv"))]
        if found:
            table = pd.concat(found, ignore_index=True)
            table = table[table["network"] == "student"].drop(columns=["network"])
            yield text
            yield to_markdown(plain_table(table)) + "\n"


def _unmarked(table: Table) -> Table:
    """The table without places: a place is no test."""
    sections = (
        Section(part.heading, tuple(tuple(replace(c, rank=0) for c in row) for row in part.rows))
        for part in table.sections
    )
    return Table(table.header, tuple(sections))


def _readme() -> Iterator[str]:
    """The README's tables, with what must be known to read them."""
    for path, caption in ((MAIN, _README), (SITES, _README_SITES)):
        predictions = _predictions(path)
        patients = predictions.dropna(subset="label").groupby("target")["PATIENT"].nunique()
        yield caption.format(
            least=patients.min(),
            most=patients.max(),
            seeds=_seeds(path),
        )
        chosen = predictions[predictions["method"].isin(HEADLINE)]
        yield to_markdown(_unmarked(headline_table(evaluate(chosen).summary)))
        yield _README_TESTED
        yield to_markdown(plain_table(_tested(_against_rivals(predictions))))
    if _finished(REPEATS):
        yield _README_REPEATED
        yield to_markdown(plain_table(_tested(_against_rivals(_predictions(REPEATS)))))
    needed = ", ".join(_needed())
    if needed:
        yield _README_LABELS.format(recommended=RECOMMENDED, needed=needed)


def _needed() -> Iterator[str]:
    """The labels that the recommended student needs, in words, where the curves were drawn."""
    tables = read_experiment(LABELS).output / "report" / "tables"
    for path in sorted(tables.glob("labels-needed-*.csv")):
        table = pd.read_csv(path)
        own = table[(table["network"] == "student") & (table["method"] == RECOMMENDED)]
        for row in own.to_dict("records"):
            smallest = "at most " if row["needed"] <= row["fewest_labels"] else ""
            yield f"{row['target']} {smallest}{row['needed']:.0f} of {row['all_labels']:.0f}"


def _tested(table: pd.DataFrame) -> pd.DataFrame:
    """The gain on each rival and its p-value, a column a target."""
    shown = table.assign(
        cell=[
            f"{gain:+.3f} [{low:+.3f} to {high:+.3f}], p {p:.2g}"
            for gain, low, high, p in zip(
                table["difference"], table["low"], table["high"], table["p_holm"], strict=True
            )
        ],
        against=table["reference"].str.removesuffix(" student"),
    )
    return shown.pivot_table("cell", "against", "target", "first", sort=False).reset_index()


def _into_readme(table: str) -> None:
    """Put the tables between their two marks."""
    before, _, rest = README.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    write_text(README, f"{before}{START}\n\n{table}\n\n{END}{after}")


def _all_methods() -> Iterator[str]:
    predictions = _predictions(SUITE)
    costs = pd.read_csv(read_experiment(SUITE).output / "costs.csv")
    board = build_leaderboard(predictions, costs, reference={"student": "abmil"})
    cohort = _COHORT.format(patients=predictions["PATIENT"].nunique())
    yield _ALL.format(cohort=cohort, seeds=_seeds(SUITE))
    yield paper_markdown(paper_table(board))
    yield _FASTER
    yield _means(board, [f"{name}{way}" for name in FASTER for way in WAYS])


def _means(board: Leaderboard, methods: Sequence[str]) -> str:
    """Mean of folds of some students, by target and over the targets, as a table."""
    rows = board.results[board.results["network"] == "student"]
    wide = rows.pivot_table(index="method", columns="target", values="fold_auc", sort=False)
    wide["mean"] = wide.mean(axis=1)
    known = [name for name in methods if name in wide.index]
    return to_markdown(plain_table(wide.loc[known].reset_index())) + "\n"


if __name__ == "__main__":
    main()
