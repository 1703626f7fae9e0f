"""What a whole `histodistill suite` costs, part by part, here and in another checkout.

    OMP_NUM_THREADS=1 python benchmarks/suite.py                                  # simulated
    OMP_NUM_THREADS=1 python benchmarks/suite.py --real FOLDER --before CHECKOUT  # open TCGA-BRCA

Each round runs the same experiment once with each checkout, every method with few epochs. The whole
is the processor time of the process and of all that it started. Every 5 ms of it, the functions
that are running are looked at; the time since then goes to the innermost that belongs to a part.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from types import FrameType

import yaml

HERE = Path(__file__).parents[1]
COMMAND = ["-c", "from histodistill.cli.main import main; main()"]
INTERVAL = 0.005
BASELINES = ["logistic-slides", "logistic-genomics", "elastic-net-genomics"]
BASELINES += ["boosted-trees-genomics", "single-gene"]
METHODS = ["programmes", "abmil", "mkd"]

# A part, and where its functions are: `path/below/the/package.py:function`, here or before.
PARTS = {
    "elastic net": r"baselines/elastic_net\.py",
    "boosted trees": r"baselines/boosted_trees\.py",
    "logistic regressions": r"baselines/logistic\.py",
    "single genes": r"baselines/single_gene\.py",
    "Cox scores of all genes": r"genomics/cox\.py",
    "patches read as programmes": r"preparation/programmes\.py:(transform|bag|sample)$",
    "programmes fitted": r"(preparation|training)/.*:(_?fit_programmes|_add_programmes)$",
    "training: batches": r"training/.*:(_made|_in_step|epoch_batches)$",
    "training: validation": r"training/.*:_validate$",
    "training: checkpoints and curves": r"training/.*:(_write|_save|_write_curves)$",
    "training: networks, losses, optimiser": r"training/(loop/)?(trainer|stacked|shared_pass)\.py",
    "genes selected and scaled": r"genomics/(selection|preprocessing)\.py|preparation/transforms",
    "reading the cohort": r"cohort/|features/|genomics/|experiment/|tables/",
    "leaderboard and report": r"report/|evaluation/|workflows/",
    "answers, thresholds, the rest of a fit": r"training/|deploy/|inference/",
}
RULES = {part: re.compile(where) for part, where in PARTS.items()}
IMPORTS, REST, ELSEWHERE = "imports", "the rest", "other processes, and the system's end of one"
MOST = 10

Spent = dict[str, Counter[str]]


def main() -> None:
    """Print a row for each part, and one for the whole."""
    options = _options()
    if options.sampled:
        sampled(*options.sampled)
        return
    sources = {"before": options.before, "here": HERE} if options.before else {"here": HERE}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = (
            real(options, folder)
            if options.real
            else simulated(folder, options.epochs, options.folds)
        )
        runs: dict[str, list[Spent]] = {which: [] for which in sources}
        for number in range(options.rounds):
            for which, source in sources.items():
                runs[which].append(suite(source, settings, folder / f"{which}{number}"))
                whole = runs[which][-1]["parts"].total()
                print(f"round {number + 1}, {which}: {whole:.1f} s", file=sys.stderr, flush=True)
    print(table([spent_on(each, "parts") for each in runs.values()], runs))
    print("\nThe functions that take most here, alone and with what they call of other packages:\n")
    print(largest(spent_on(runs["here"], "functions")))


def real(options: argparse.Namespace, folder: Path) -> dict[str, object]:
    """An experiment on the open TCGA-BRCA cohort: ER, some of the five folds given with it."""
    cohort = options.real.resolve()
    (folder / "folds" / "ER").mkdir(parents=True)
    for fold in range(options.folds):
        name = f"ER/splits_{fold}.csv"
        (folder / "folds" / name).write_bytes((cohort / "folds" / name).read_bytes())
    block = {"selection": {"method": "cox"}, "clip": 6}
    return {
        "name": "Open cohort",
        "cohort": {
            "clinical": str(cohort / "clinical.csv"),
            "site_column": "SITE",
            "survival": {"time": "OS_MONTHS", "event": "OS_STATUS"},
            "slides": str(cohort / "slides.csv"),
        },
        "features": {"directory": str(cohort / "features")},
        "genomics": {
            "mrna": {"file": str(cohort / "mrna_zscores.txt.gz"), **block},
            "cna": {"file": str(cohort / "cna_gistic.txt.gz"), **block},
        },
        "splits": {"scheme": "files", "directory": f"{folder}/folds/{{target}}"},
        **_common(options.epochs),
    }


def simulated(folder: Path, epochs: int, folds: int) -> dict[str, object]:
    """An experiment on a cohort of `histodistill simulate`."""
    cohort = folder / "cohort"
    _run(HERE, [*COMMAND, "simulate", str(cohort)])
    return {
        "name": "Simulated cohort",
        "simulated": True,
        "cohort": {
            "clinical": str(cohort / "clinical.csv"),
            "site_column": "SITE",
            "survival": {"time": "OS_MONTHS", "event": "OS_STATUS"},
            "slides": str(cohort / "slides.csv"),
        },
        "features": {"directory": str(cohort / "features"), "standardise": True},
        "genomics": {
            "mrna": {"file": str(cohort / "mrna_zscores.txt"), "selection": {"method": "cox"}}
        },
        "splits": {"folds": folds},
        **_common(epochs),
    }


def _common(epochs: int) -> dict[str, object]:
    return {
        "targets": {"ER": {"classes": ["negative", "positive"], "positive": "positive"}},
        "training": {"patches": 64, "max_epochs": epochs, "patience": epochs},
        "baselines": BASELINES,
        "methods": {name: {} for name in METHODS},
    }


def suite(source: Path, settings: dict[str, object], folder: Path) -> Spent:
    """Processor seconds of each part and function of a suite with the code of a checkout."""
    folder.mkdir()
    experiment, told = folder / "experiment.yaml", folder / "spent.json"
    experiment.write_text(yaml.safe_dump(settings | {"output": str(folder / "run")}))
    _run(source, [*COMMAND, "pack", str(experiment)])
    before = _children()
    _run(source, [__file__, "--sampled", str(experiment), str(told)])
    whole = _children() - before
    spent = {key: Counter(values) for key, values in json.loads(told.read_text()).items()}
    spent["parts"].update({ELSEWHERE: whole - spent["parts"].total()})
    return spent


def _run(source: Path, arguments: list[str]) -> None:
    environment = os.environ | {"PYTHONPATH": str(source / "src")}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def sampled(experiment: str, told: str) -> None:
    """Run the suite in this process, and write what each part and function took."""
    spent: dict[str, defaultdict[str, float]] = {
        "parts": defaultdict(float),
        "functions": defaultdict(float),
    }
    seen_at = 0.0

    def look(_signal: int, frame: FrameType | None) -> None:
        nonlocal seen_at
        now = time.process_time()
        part, function = place_of(frame)
        spent["parts"][part] += now - seen_at
        spent["functions"][function] += now - seen_at
        seen_at = now

    signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    sys.argv = ["histodistill", "suite", experiment]
    try:
        import_module("histodistill.cli.main").main()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        look(0, None)
        Path(told).write_text(json.dumps(spent))


def place_of(frame: FrameType | None) -> tuple[str, str]:
    """The part of the innermost function that belongs to one; the innermost of the package."""
    innermost = REST
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib"):
            return IMPORTS, IMPORTS
        _, package, path = code.co_filename.rpartition("/histodistill/")
        if package and code.co_name != "<module>":
            here = f"{path}:{code.co_name}"
            innermost = here if innermost == REST else innermost
            for part, rule in RULES.items():
                if rule.match(here):
                    return part, innermost
        frame = frame.f_back
    return REST, innermost


def spent_on(several: Sequence[Spent], key: str) -> list[Counter[str]]:
    """Seconds by part or by function, a round each."""
    return [each[key] for each in several]


def table(several: Sequence[Sequence[Counter[str]]], names: Iterable[str]) -> str:
    """Median seconds of every part, those first that take most, and the whole."""
    parts = dict.fromkeys(part for rounds in several for one in rounds for part in one)
    rows = {
        part: [statistics.median(one[part] for one in own) for own in several] for part in parts
    }
    lines = [f"| | {', s | '.join(names)}, s |", "|---" * (len(several) + 1) + "|"]
    for part, seconds in sorted(rows.items(), key=lambda row: -max(row[1])):
        lines += [f"| {part} | {' | '.join(f'{value:.1f}' for value in seconds)} |"]
    wholes = [[one.total() for one in own] for own in several]
    told = [f"{statistics.median(own):.1f} ({min(own):.1f} to {max(own):.1f})" for own in wholes]
    return "\n".join([*lines, f"| **the whole** | {' | '.join(told)} |"])


def largest(rounds: Sequence[Counter[str]]) -> str:
    """The functions that take most, and their median seconds."""
    functions = dict.fromkeys(function for one in rounds for function in one)
    seconds = {each: statistics.median(one[each] for one in rounds) for each in functions}
    most = sorted(seconds.items(), key=lambda row: -row[1])[:MOST]
    rows = [f"| `{function}` | {value:.1f} |" for function, value in most]
    return "\n".join(["| | s |", "|---|---|", *rows])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, help="folder of the open TCGA-BRCA cohort")
    parser.add_argument("--before", type=Path, help="checkout of an earlier state")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10, help="of every method")
    parser.add_argument("--folds", type=int, default=5, choices=(2, 3, 4, 5))
    parser.add_argument("--sampled", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
