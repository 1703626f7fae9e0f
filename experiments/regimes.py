"""Which method wins where, on simulated patients of real tiles; writes docs/regimes.md.

    python experiments/regimes.py TILES [--folder DIR] [--seeds 2] [--further N [--share S ...]]
                                        [--page] [--curve NAME ...]

TILES is a folder of tissue classes with `giant-cell` among them (see docs/how-to/tiles.md). One
thing at a time is changed about a middle point: the share of patches that carry the signal, the
labelled patients, unlabelled patients who have genes too, noise of the labels, the share without
genes, and how differently hospitals stain. Every method learns from the same patients of one
part, stops by those of a second, and answers those of a third; no tile stands in two parts. What
an earlier call finished in the folder is kept; the page is written at the end, or, of what is
answered so far, with --page. --further adds cohorts of the first curve to the last table, in which
only ABMIL, logistic regression and the recommended recipes are trained; --share limits them to some
of its points.
"""

from __future__ import annotations

import argparse
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy.stats import norm, ttest_1samp
from tissue_told import told_scores

from histodistill import EncoderChoice, cross_validate, load, read_experiment
from histodistill.encoders import load_encoder
from histodistill.evaluation import roc_auc
from histodistill.evaluation.comparison import holm
from histodistill.evaluation.delong import delong_test
from histodistill.files import whole_file, write_text
from histodistill.report import Cell, Section, Table, to_markdown
from histodistill.simulation import draw_truth
from histodistill.simulation.tiles import (
    TileFeatures,
    TileLibrary,
    TileSettings,
    encode_tiles,
    hospital_stains,
    read_tiles,
    simulate_tile_cohort,
)

matplotlib.use("Agg")

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/regimes.md"
FIGURE = ROOT / "docs/regimes/curves.png"
START, END = "<!-- written by experiments/regimes.py -->", "<!-- end of the table -->"
COMPONENTS = 128
RESAMPLES = 500
TEST_PATIENTS = 300
HOSPITALS = 3
# Tiles of each class where every hospital stains them: each is encoded once a hospital.
TILES_OF_HOSPITALS = 60
TEST_HOSPITAL = "S03"
SMALL = {"width": 64, "attention_width": 32, "fusion_width": 16, "token_size": 64}
# The default training stops before attention has found rare patches.
LONGER = {"learning_rate": 1e-3, "patience": 10, "max_epochs": 40}
# Who is taught learns from patients without a label too.
TAUGHT = {"network": SMALL, "training": {**LONGER, "unlabelled": True}}
METHODS: dict[str, dict[str, object]] = {
    "abmil": {"network": SMALL, "training": LONGER},
    "kd-offline": TAUGHT,
    "mkd": TAUGHT,
    "mkd-no-orthogonality": TAUGHT,
    "programmes": {},
    "proportions": {},
}
# Names in the tables and figures, with colours that the colour-blind tell apart (Okabe and Ito).
SHOWN = {
    "logistic-slides": ("logistic regression", "#000000", "s"),
    "abmil": ("ABMIL", "#E69F00", "o"),
    "kd-offline": ("KD, offline", "#56B4E9", "v"),
    "mkd": ("MKD", "#0072B2", "D"),
    "mkd-no-orthogonality": ("MKD without L_OR", "#CC79A7", "^"),
    "programmes": ("programmes", "#009E73", "P"),
    "proportions": ("proportions", "#D55E00", "X"),
}
BEST = "counting the patches"
# Beside each other where a classifier is told the tissue of every tile of training.
TOLD = {"told": "a classifier told the tissue of tiles", "proportions": "proportions"}
# All that is trained on further cohorts, of the points of one curve.
FURTHER_METHODS = {name: METHODS[name] for name in ("abmil", "programmes", "proportions")}
FURTHER_CURVE = "share"
# From so many cohorts on the test is over cohorts, so that the luck of a training counts.
ENOUGH_COHORTS = 5
RIVALS = {
    "programmes": ("logistic-slides", "abmil", "kd-offline", "mkd"),
    "proportions": ("logistic-slides", "abmil", "programmes"),
}


@dataclass(frozen=True)
class Point:
    """One setting of the world.

    Attributes:
        share: Median share of the patches that carry the signal.
        labelled: Labelled patients; a quarter of them are for validation.
        unlabelled: Patients with slides and genes, without a label.
        noise: Standard deviation of the label's noise.
        without_genes: Share of the labelled patients who have no genes.
        shift: How differently hospitals stain; None where all stain alike and nobody's hospital
            is held out.
    """

    share: float = 0.05
    labelled: int = 200
    unlabelled: int = 0
    noise: float = 0.5
    without_genes: float = 0.0
    shift: float | None = None

    @property
    def name(self) -> str:
        """A folder's name."""
        parts = (self.share, self.labelled, self.unlabelled, self.noise, self.without_genes)
        return "-".join(map(str, (*parts, self.shift)))


@dataclass(frozen=True)
class Curve:
    """What is changed, and to which values.

    Attributes:
        title: What it is called.
        field: Of `Point`.
        values: In order.
        base: What the other fields are.
    """

    title: str
    field: str
    values: tuple[float, ...]
    base: Point = Point()

    def points(self) -> Iterator[tuple[float, Point]]:
        """Every value, and the point with it."""
        for value in self.values:
            changed: dict[str, Any] = {self.field: value}
            yield value, replace(self.base, **changed)


CURVES = {
    "share": Curve("share of patches with signal", "share", (0.01, 0.05, 0.2, 0.5)),
    "labelled": Curve("labelled patients", "labelled", (50, 200, 500)),
    "unlabelled": Curve("unlabelled patients with genes", "unlabelled", (0, 400)),
    "noise": Curve("noise of labels (sd)", "noise", (0.0, 0.5, 1.5)),
    "without_genes": Curve("share without genes", "without_genes", (0.0, 0.8)),
    "shift": Curve("shift of stain, new hospital", "shift", (0.0, 0.2), Point(shift=0.0)),
}


@dataclass(frozen=True)
class Work:
    """Where tiles come from and results go.

    Attributes:
        tiles: The folder of tiles.
        folder: For cohorts and answers.
    """

    tiles: Path
    folder: Path

    def answers(self, point: Point, seed: int) -> Path:
        """Where the answers at a point are kept."""
        return self.folder / "answers" / f"{point.name}-seed-{seed}.csv"


def main() -> None:
    """Answer at every point, seed by seed, and write the page."""
    given = _words()
    work = Work(given.tiles.resolve(), given.folder.resolve())
    for seed in range(0 if given.page else given.seeds):
        points = {p: None for name in given.curve for _, p in CURVES[name].points()}
        for point in points:
            _answer(work, point, seed, METHODS)
            print(f"seed {seed}, {point}", flush=True)
    cohorts = given.seeds + given.further
    for seed in range(cohorts if given.page else given.seeds, cohorts):
        for _, point in CURVES[FURTHER_CURVE].points():
            if given.share and point.share not in given.share:
                continue
            _answer(work, point, seed, FURTHER_METHODS)
            print(f"seed {seed}, {point}", flush=True)
    write_page(work, given.seeds, cohorts)


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("tiles", type=Path)
    parser.add_argument("--folder", type=Path, default=ROOT / "demo/regimes")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--further", type=int, default=0, help="cohorts of fewer methods")
    parser.add_argument("--share", type=float, action="append", help="of the further cohorts")
    parser.add_argument("--curve", action="append", choices=list(CURVES))
    parser.add_argument("--page", action="store_true", help="only the page, of what is answered")
    given = parser.parse_args()
    given.curve = given.curve or list(CURVES)
    return given


# A cohort, and the patients of a point.


def settings_of(point: Point, seed: int) -> TileSettings:
    """The cohort that has the patients of a point: labels and who is used are chosen from it.

    Its three parts are those of the test, of validation and of training.
    """
    hospitals = point.shift is not None
    middle = point.share == Point().share and not hospitals
    # One hospital of three is tested.
    most = 600 if hospitals else 400 if middle else TEST_PATIENTS
    unlabelled = 400 if middle else 0
    return TileSettings(
        seed=seed,
        n_patients=3 * most + unlabelled,
        n_folds=3,
        n_sites=HOSPITALS,
        n_genes=200,
        positive_share=0.5,
        rare_part=1.0,
        rare_share=point.share,
        label_noise=point.noise,
        share_without_label=unlabelled / (3 * most + unlabelled),
        share_without_genomics=0.0,
        stain_shift=point.shift or 0.0,
        tiles_per_class=tiles_a_class(point.shift),
    )


@cache
def encoded(work: Work, shift: float | None) -> tuple[TileLibrary, TileFeatures]:
    """The tiles, and their features in every hospital: the same for all cohorts of a shift."""
    library = read_tiles(work.tiles, tiles_a_class(shift))
    encoder = load_encoder(EncoderChoice("efficientnet-lite0").described(), device="cpu")
    features = encode_tiles(library, encoder, hospital_stains(HOSPITALS, shift or 0.0))
    return library, features.reduced(COMPONENTS)


def tiles_a_class(shift: float | None) -> int | None:
    """How many tiles of each class are read; None is all."""
    return None if shift is None else TILES_OF_HOSPITALS


@cache
def cohort_of(work: Work, share: float, shift: float | None, seed: int) -> Path:
    """The folder of a cohort; labels of another noise leave its slides and genes as they are."""
    folder = work.folder / "cohorts" / f"share-{share}-shift-{shift}-seed-{seed}"
    if not (folder / "README.txt").exists():  # which is written last
        settings = settings_of(Point(share=share, shift=shift), seed)
        simulate_tile_cohort(folder, settings, *encoded(work, shift))
    return folder


def chosen(point: Point, truth: pd.DataFrame) -> dict[str, list[str]]:
    """The patients of a point by what they are for: test, val, train and unlabelled."""
    validation = point.labelled // 4
    new = truth["SITE"] == TEST_HOSPITAL
    known = pd.Series(True, index=truth.index) if point.shift is None else ~new
    tested = known if point.shift is None else new
    return {
        "test": list(truth["PATIENT"][(truth["PART"] == 0) & tested])[:TEST_PATIENTS],
        "val": list(truth["PATIENT"][(truth["PART"] == 1) & known])[:validation],
        "train": list(truth["PATIENT"][(truth["PART"] == 2) & known])[
            : point.labelled - validation
        ],
        "unlabelled": list(truth["PATIENT"][truth["PART"] == 3])[: point.unlabelled],
    }


def _answer(work: Work, point: Point, seed: int, methods: dict[str, dict[str, object]]) -> None:
    """Train those of the methods that have not answered a point, and keep what they answer."""
    path = work.answers(point, seed)
    before = pd.read_csv(path) if path.exists() else None
    known = set() if before is None else set(before["method"])
    missing = {name: own for name, own in methods.items() if name not in known}
    if not missing:
        return
    cohort = cohort_of(work, point.share, point.shift, seed)
    truth = pd.read_csv(cohort / "truth.csv")
    truth["ER"] = draw_truth(settings_of(point, seed))["ER"]
    used = chosen(point, truth)
    folder = work.folder / "runs" / f"{point.name}-seed-{seed}"
    _write_inputs(folder, cohort, point, seed, truth.set_index("PATIENT"), used)
    settings = _experiment(folder, cohort, missing)
    if before is not None:
        settings |= {"baselines": [], "output": f"results-{'-'.join(missing)}"}
    write_text(folder / "experiment.yaml", yaml.safe_dump(settings))
    experiment = read_experiment(folder / "experiment.yaml")
    predictions = cross_validate(experiment, load(experiment))
    rows = predictions[["PATIENT", "method", "label", "student"]].dropna()
    if before is None:
        counted = truth.set_index("PATIENT")["RARE_PATCHES"].loc[used["test"]]
        best = rows[rows["method"] == "abmil"].assign(method=BEST)
        best["student"] = best["PATIENT"].map(counted)
        before = best
    with whole_file(path) as temporary:
        pd.concat([before, rows]).to_csv(temporary, index=False)


def _write_inputs(
    folder: Path,
    cohort: Path,
    point: Point,
    seed: int,
    truth: pd.DataFrame,
    used: dict[str, list[str]],
) -> None:
    """The tables and the fold of a point."""
    labelled = [*used["train"], *used["val"], *used["test"]]
    patients = labelled + used["unlabelled"]
    clinical = pd.DataFrame({"PATIENT": patients}).assign(
        ER=lambda table: (
            truth["ER"]
            .reindex(table["PATIENT"])
            .where(table["PATIENT"].isin(labelled).to_numpy(), "")
            .to_numpy()
        )
    )
    rng = np.random.default_rng([seed, 1])
    lacking = [
        patient for patient in (*used["train"], *used["val"]) if rng.random() < point.without_genes
    ]
    genes = pd.read_csv(cohort / "mrna_zscores.txt", sep="\t")
    keep = [p for p in patients if p not in set(lacking)]
    parts = {name: pd.Series(used[name]) for name in ("train", "val", "test")}
    (folder / "folds").mkdir(parents=True, exist_ok=True)
    clinical.to_csv(folder / "clinical.csv", index=False)
    genes[["Hugo_Symbol", "Entrez_Gene_Id", *keep]].to_csv(
        folder / "mrna.txt", sep="\t", index=False
    )
    slides = pd.read_csv(cohort / "slides.csv")
    slides[slides["PATIENT"].isin(patients)].to_csv(folder / "slides.csv", index=False)
    pd.DataFrame(parts).to_csv(folder / "folds" / "splits_0.csv", index=False)


def _experiment(
    folder: Path, cohort: Path, methods: dict[str, dict[str, object]]
) -> dict[str, object]:
    return {
        "name": f"Regimes: {folder.name}",
        "simulated": True,
        "cohort": {"clinical": "clinical.csv", "slides": "slides.csv"},
        "features": {
            "directory": str(cohort / "features"),
            "standardise": True,
            "cache": str(folder.parent.parent / "packed"),
        },
        "genomics": {"mrna": {"file": "mrna.txt"}},
        "targets": {"ER": {"classes": ["negative", "positive"], "positive": "positive"}},
        "splits": {"scheme": "files", "directory": "folds"},
        "methods": methods,
        "baselines": ["logistic-slides"],
        "output": "results",
    }


# What the answers say.


def summary(work: Work, seeds: int) -> pd.DataFrame:
    """AUC of every method at every value of every curve that was answered, with its interval."""
    rows = []
    for name, curve in CURVES.items():
        for value, point in curve.points():
            files = [work.answers(point, seed) for seed in range(seeds)]
            tables = [pd.read_csv(file) for file in files if file.exists()]
            if tables:
                rows += [{"curve": name, "value": value, **row} for row in _judged(tables)]
    return pd.DataFrame(rows)


def _judged(tables: list[pd.DataFrame]) -> Iterator[dict[str, object]]:
    """Mean AUC over cohorts and its gain on ABMIL, with 95 % intervals over patients."""
    asked = [m for m in (*SHOWN, BEST) if all(m in set(table["method"]) for table in tables)]
    drawn = {method: _bootstrapped(tables, method) for method in asked}
    for method, aucs in drawn.items():
        gains = aucs - drawn["abmil"]
        low, high = np.quantile(aucs[1:], (0.025, 0.975))
        gain_low, gain_high = np.quantile(gains[1:], (0.025, 0.975))
        yield {
            "method": method,
            "auc": aucs[0],
            "low": low,
            "high": high,
            "gain": gains[0],
            "gain_low": gain_low,
            "gain_high": gain_high,
            "cohorts": len(tables),
        }


def _bootstrapped(tables: list[pd.DataFrame], method: str) -> NDArray[np.float64]:
    """The mean AUC over cohorts of all patients, then of resamples, the same for every method."""
    totals = np.zeros(RESAMPLES + 1)
    for number, table in enumerate(tables):
        own = table[table["method"] == method].sort_values("PATIENT")
        positive = (own["label"] == "positive").to_numpy()
        score = own["student"].to_numpy(dtype=float)
        rng = np.random.default_rng(number)
        draws = rng.integers(len(own), size=(RESAMPLES, len(own)))
        totals[0] += roc_auc(positive, score)
        totals[1:] += [roc_auc(positive[draw], score[draw]) for draw in draws]
    return totals / len(tables)


# The page.


def write_page(work: Work, seeds: int, cohorts: int) -> None:
    """Draw the figure, and write the tables between the document's two marks."""
    found = summary(work, seeds)
    draw(found)
    shown = "\n".join(_shown(str(name), own) for name, own in found.groupby("curve", sort=False))
    shown += f"\n{to_markdown(found_by_told(work, seeds))}"
    for own in RIVALS:
        shown += f"\n{to_markdown(tested(work, cohorts, own))}"
    shown += _unanswered(work, seeds)
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(START)
    write_text(DOCUMENT, f"{before}{START}\n\n{shown}\n\n{END}{rest.partition(END)[2]}")


def _shown(name: str, found: pd.DataFrame) -> str:
    """One curve as a table: a row a value, a column a method."""
    header = (CURVES[name].title, "cohorts", BEST, *(label for label, _, _ in SHOWN.values()))
    rows = []
    for value, own in found.groupby("value"):
        of = {row["method"]: row for row in own.to_dict("records")}
        cells = [f"{value:g}", str(of[BEST]["cohorts"]), f"{of[BEST]['auc']:.3f}"]
        cells += [_cell(of[method]) if method in of else "not run" for method in SHOWN]
        rows.append(tuple(Cell(cell) for cell in cells))
    return to_markdown(Table(header, (Section("", tuple(rows)),)))


def found_by_told(work: Work, seeds: int) -> Table:
    """What a classifier of patches would find that knows the tissue of every tile of training."""
    curve, rows = CURVES[FURTHER_CURVE], []
    for value, point in curve.points():
        tables = [_with_told(work, point, seed) for seed in range(seeds)]
        means = [float(np.mean([_auc_of(t, name) for t in tables])) for name in (BEST, *TOLD)]
        cells = (f"{value:g}", str(len(tables)), *(f"{mean:.3f}" for mean in means))
        rows.append(tuple(map(Cell, cells)))
    header = (curve.title, "cohorts", BEST, *(TOLD[name] for name in TOLD))
    return Table(header, (Section("", tuple(rows)),))


def _with_told(work: Work, point: Point, seed: int) -> pd.DataFrame:
    """The answers at a point, with those of the classifier that is told."""
    answers = pd.read_csv(work.answers(point, seed))
    kept = work.folder / "told" / f"{point.name}-seed-{seed}.csv"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        scores = told_scores(cohort_of(work, point.share, point.shift, seed))
        with whole_file(kept) as temporary:
            scores.to_csv(temporary)
    found = pd.read_csv(kept, index_col=0).iloc[:, 0]
    own = answers[answers["method"] == BEST]
    told = own.assign(method="told", student=own["PATIENT"].map(found))
    return pd.concat([answers, told])


def _auc_of(table: pd.DataFrame, method: str) -> float:
    own = table[table["method"] == method]
    return roc_auc((own["label"] == "positive").to_numpy(), own["student"].to_numpy(float))


def tested(work: Work, cohorts: int, own: str) -> Table:
    """A recipe of this library against others: over cohorts that it was not chosen on.

    Prototypes, the student's shrinkage and detectors were chosen on cohort 0. Cohorts are
    independent: the mean of their differences (DeLong) has the variance of their sum over the
    square of their number; of five cohorts or more the differences themselves are tested (t-test),
    the luck of training included. p is adjusted over the whole table (Holm).
    """
    points: dict[Point, tuple[str, float]] = {}
    for curve in CURVES.values():
        for value, point in curve.points():
            points.setdefault(point, (curve.title, value))
    rows, tests = [], []
    for point, (title, value) in points.items():
        files = [work.answers(point, seed) for seed in range(1, cohorts)]
        tables = [pd.read_csv(file) for file in files if file.exists()]
        compared = [_difference(tables, own, other) for other in RIVALS[own]]
        if any(compared):
            rows.append(
                (f"{title} {value:g}", [found and (found[0], found[2]) for found in compared])
            )
            tests += [found[1] for found in compared if found]
    adjusted = iter(holm(tests))
    cells = [
        (
            name,
            *(f"{own[0]:+.3f} ({own[1]}: p {next(adjusted):.2g})" if own else "" for own in gains),
        )
        for name, gains in rows
    ]
    header = (f"{own} against (cohorts: p)", *(SHOWN[other][0] for other in RIVALS[own]))
    return Table(header, (Section("", tuple(tuple(map(Cell, row)) for row in cells)),))


def _difference(
    tables: list[pd.DataFrame], own: str, other: str
) -> tuple[float, float, int] | None:
    """Mean difference of the AUC to another method over cohorts, its p-value, and their number."""
    tests = []
    for table in tables:
        if not {own, other} <= set(table["method"]):
            continue
        wide = table.set_index(["method", "PATIENT"])["student"]
        positive = table[table["method"] == other].set_index("PATIENT")["label"] == "positive"
        scores = [wide[method].loc[positive.index] for method in (own, other)]
        tests.append(delong_test(positive.to_numpy(), *scores))
    if not tests:
        return None
    gains = [test.difference for test in tests]
    gain = float(np.mean(gains))
    if len(tests) >= ENOUGH_COHORTS:
        return gain, float(ttest_1samp(gains, 0).pvalue), len(tests)
    error = float(np.sqrt(np.sum([test.standard_error**2 for test in tests]))) / len(tests)
    return gain, float(2 * norm.sf(abs(gain) / error)), len(tests)


def _unanswered(work: Work, seeds: int) -> str:
    """What was asked for and is not answered yet, in a sentence."""
    left = [
        f"{curve.title} {value:g} (cohort {seed})"
        for curve in CURVES.values()
        for value, point in curve.points()
        for seed in range(seeds)
        if not work.answers(point, seed).exists()
    ]
    return f"\nNot run: {', '.join(left)}.\n" if left else ""


def _cell(row: Mapping[Hashable, Any]) -> str:
    """An AUC with its interval; a star where its gain on ABMIL is above 0 in 95 % of resamples."""
    star = "*" if row["gain_low"] > 0 else ""
    return f"{row['auc']:.3f}{star} [{row['low']:.2f}–{row['high']:.2f}]"


def draw(found: pd.DataFrame) -> None:
    """A panel a curve, a line a method, bars for the intervals."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(11, 6.6), sharey=True, layout="constrained")
    for panel, (name, curve) in zip(axes.flat, CURVES.items(), strict=True):
        own = found[found["curve"] == name]
        panel.set_visible(bool(len(own)))
        _panel(panel, own, curve)
    for panel in axes[:, 0]:
        panel.set_ylabel("AUC, slides alone")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    with whole_file(FIGURE) as temporary:
        figure.savefig(temporary, dpi=130)
    plt.close(figure)


def _panel(panel: matplotlib.axes.Axes, found: pd.DataFrame, curve: Curve) -> None:
    """One curve: values at even distances, methods beside each other."""
    values = sorted(found["value"].unique())
    place = {value: number for number, value in enumerate(values)}
    best = found[found["method"] == BEST]
    panel.plot(best["value"].map(place), best["auc"], "--", color="grey", label=BEST)
    for number, (method, (label, colour, marker)) in enumerate(SHOWN.items()):
        own = found[found["method"] == method].sort_values("value")
        x = own["value"].map(place) + 0.07 * (number - (len(SHOWN) - 1) / 2)
        bars = np.stack([own["auc"] - own["low"], own["high"] - own["auc"]])
        panel.errorbar(
            x,
            own["auc"],
            bars,
            color=colour,
            marker=marker,
            ms=5,
            lw=1.2,
            elinewidth=0.8,
            label=label,
        )
    panel.axhline(0.5, color="lightgrey", lw=0.8, zorder=0)
    panel.set_xticks(range(len(values)), [f"{value:g}" for value in values])
    panel.set_title(curve.title, fontsize=10)
    panel.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
