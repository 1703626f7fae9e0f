"""Cases: a command, the file of it that is damaged, and how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from tests.malformed import mutations as m
from tests.malformed.mutations import Mutation

_PATTERN = ("--patient-pattern", r"^(N\d)")
_PREDICT = ("predict", "bundle", *_PATTERN, "--out", "out.csv", "--device", "cpu")
_EXTRACT = (
    *("extract", "slides", "--out", "out", "--encoder", "torchscript", "--weights", "encoder.pt"),
    "--allow-torchscript-code",
    *("--input-px", "64", "--mpp", "1", "--patch-px", "64", "--workers", "1"),
)
_OF_NEW = ("--target", "ER", "--classes", "negative,positive", "--positive", "positive")


@dataclass(frozen=True)
class Command:
    """A command as it is typed, and the files that are its answer.

    ``described``: what it prints is an answer too.
    """

    words: tuple[str, ...]
    answers: tuple[str, ...] = ()
    described: bool = False


@dataclass(frozen=True)
class Subject:
    """A file of the world that a command reads, and what may happen to it."""

    kind: str
    file: str
    command: Command
    damage: Sequence[Mutation]


@dataclass(frozen=True)
class Case:
    """One damage to one file before one command."""

    number: int
    subject: Subject
    mutation: Mutation
    seed: int

    def damage(self, folder: Path) -> None:
        """Damage the file in a copy of the world."""
        path = sorted(folder.glob(self.subject.file))[0]
        self.mutation.change(path, Random(self.seed))

    def __str__(self) -> str:
        return f"{self.subject.kind}: {self.mutation.name} ({self.subject.command.words[0]})"


def _audit(experiment: str) -> Command:
    # The folds show who takes part, and with what.
    return Command(("audit", f"{experiment}.yaml"), described=True)


def _crossval(experiment: str, output: str = "results") -> Command:
    return Command(
        ("crossval", f"{experiment}.yaml", "--no-report"), (f"{output}/predictions.csv",)
    )


def _features(folder: str) -> Command:
    return Command((*_PREDICT, "--features", folder), ("out.csv",))


_WITH_GENES = Command(
    (*_PREDICT, "--features", "new-h5", "--genomics", "mrna=new-genes.csv"), ("out.csv",)
)
_EVALUATE = Command(("evaluate", "results/predictions.csv", "--out", "out"), ("out/tables/*.csv",))
_EXTERNAL = Command(
    ("evaluate", "answers.csv", "--clinical", "new-labels.csv", *_OF_NEW, "--out", "out"),
    ("out/tables/*.csv",),
)
_COMPARE = Command(
    ("compare", "results/predictions.csv", "--reference", "abmil student", "--out", "out"),
    ("out/comparison.csv",),
)
_TRIAGE = Command(
    (
        *("triage", "results/predictions.csv", "--target", "ER", "--method", "mkd"),
        *("--max-missed", "0.9", "--out", "out"),
    ),
    ("out/*.csv",),
)
_EXPLAIN = Command(
    ("explain", "bundle", "--features", "new-h5", *_PATTERN, "--patient", "N0", "--out", "maps"),
    ("maps/**/*.csv",),
)
# Drafts explain themselves in their comments, and `audit` judges them.
_INIT = Command(
    (
        *("init", "--clinical", "cohort/clinical.csv", "--features", "cohort/features"),
        *("--genomics", "mrna=cohort/mrna_zscores.txt", "--out", "draft.yaml"),
    ),
)
_TRAIN = Command(
    ("train", "experiment.yaml", "--method", "abmil", "--out", "trained"),
    ("trained/member-0/*.safetensors",),
)
_IMPORT = Command(("import-checkpoint", "--student", "student.pt", "--out", "out"), ("out/**/*",))
_FIT = "results/fits/ER/mkd/seed-0/repeat-0-fold-0"

_TABLE = (*m.ANY, *m.TEXT, *(d for d in m.BINARY if d.name == "a gzip bomb"))
_ZIPPED = (*m.ANY, *m.BINARY)

# Nothing in an uncompressed picture tells that its pixels are not those that were written.
_IN_PIXELS = ("zero bytes inserted", "a block of zeros", "bytes inserted")
_PIXELS = [
    replace(mutation, told=mutation.told and mutation.name not in _IN_PIXELS)
    for mutation in (*m.ANY, *m.PICTURE)
]

SUBJECTS = (
    Subject("clinical csv", "cohort/clinical.csv", _audit("experiment"), _TABLE),
    Subject("clinical tsv", "cohort/clinical.tsv", _audit("clinical-tsv"), _TABLE),
    Subject(
        "clinical gzip", "cohort/clinical.csv.gz", _audit("clinical-csv.gz"), (*_ZIPPED, *m.GZIPPED)
    ),
    Subject(
        "clinical excel", "cohort/clinical.xlsx", _audit("clinical-xlsx"), (*_ZIPPED, *m.WORKBOOK)
    ),
    Subject(
        "clinical parquet",
        "cohort/clinical.parquet",
        _audit("clinical-parquet"),
        (*_ZIPPED, *m.PARQUET),
    ),
    Subject("slides csv", "cohort/slides.csv", _audit("experiment"), _TABLE),
    Subject("genes cbioportal", "cohort/mrna_zscores.txt", _audit("experiment"), _TABLE),
    Subject(
        "genes xena", "cohort/xena.tsv.gz", _audit("genes-xena.tsv.gz"), (*_ZIPPED, *m.GZIPPED)
    ),
    Subject("genes csv", "cohort/plain.csv", _audit("genes-plain.csv"), _TABLE),
    Subject(
        "genes gzip", "cohort/plain.csv.gz", _audit("genes-plain.csv.gz"), (*_ZIPPED, *m.GZIPPED)
    ),
    Subject(
        "genes excel", "cohort/plain.xlsx", _audit("genes-plain.xlsx"), (*_ZIPPED, *m.WORKBOOK)
    ),
    Subject(
        "genes parquet",
        "cohort/plain.parquet",
        _audit("genes-plain.parquet"),
        (*_ZIPPED, *m.PARQUET),
    ),
    Subject("new genes", "new-genes.csv", _WITH_GENES, _TABLE),
    Subject("experiment", "experiment.yaml", _audit("experiment"), (*m.ANY, *m.TEXT, *m.YAML)),
    Subject("experiment to train", "experiment.yaml", _crossval("experiment"), (*m.ANY, *m.YAML)),
    Subject("clinical to draft from", "cohort/clinical.csv", _INIT, _TABLE),
    Subject("genes to draft from", "cohort/mrna_zscores.txt", _INIT, _TABLE),
    Subject("clinical to train on", "cohort/clinical.csv", _TRAIN, _TABLE),
    Subject("folds", "folds/splits_0.csv", _audit("folds"), _TABLE),
    Subject("features h5", "new-h5/N0.h5", _features("new-h5"), (*_ZIPPED, *m.HDF5)),
    Subject("features to explain", "new-h5/N0.h5", _EXPLAIN, (*_ZIPPED, *m.HDF5)),
    Subject("bundle to explain", "bundle/bundle.json", _EXPLAIN, (*m.ANY, *m.JSON)),
    Subject("features stamp", "new-stamp/N0.h5", _features("new-stamp"), (*m.ANY, *m.HDF5)),
    Subject(
        "features of training", "cohort/features/*.h5", _audit("experiment"), (*_ZIPPED, *m.HDF5)
    ),
    Subject("features pt", "new-pt/N0.pt", _features("new-pt"), (*_ZIPPED, *m.PYTORCH)),
    Subject("features bfloat16", "new-bf16/N0.pt", _features("new-bf16"), (*_ZIPPED, *m.PYTORCH)),
    Subject("features npy", "new-npy/N0.npy", _features("new-npy"), (*_ZIPPED, *m.NUMPY)),
    Subject("features npz", "new-npz/N0.npz", _features("new-npz"), (*_ZIPPED, *m.NUMPY)),
    Subject(
        "packed bags",
        "packs/*.bags",
        Command(("pack", "packed.yaml", "--check"), ("packs/*.bags",)),
        _ZIPPED,
    ),
    Subject(
        "packed manifest",
        "packs/*.json",
        Command(("pack", "packed.yaml", "--check"), ("packs/*.bags",)),
        (*m.ANY, *m.JSON),
    ),
    Subject("bundle json", "bundle/bundle.json", _WITH_GENES, (*m.ANY, *m.TEXT, *m.JSON, *m.JSON)),
    Subject("bundle transforms", "bundle/member-0/transforms.json", _WITH_GENES, (*m.ANY, *m.JSON)),
    Subject(
        "bundle weights",
        "bundle/member-0/networks.safetensors",
        _WITH_GENES,
        (*_ZIPPED, *m.SAFETENSORS),
    ),
    Subject(
        "bundle arrays",
        "bundle/member-0/transforms.safetensors",
        _WITH_GENES,
        (*_ZIPPED, *m.SAFETENSORS),
    ),
    Subject("checkpoint", "student.pt", _IMPORT, _ZIPPED),
    Subject("predictions", "results/predictions.csv", _EVALUATE, _TABLE),
    Subject("predictions to compare", "results/predictions.csv", _COMPARE, _TABLE),
    Subject("predictions to triage", "results/predictions.csv", _TRIAGE, _TABLE),
    Subject("new answers", "answers.csv", _EXTERNAL, _TABLE),
    Subject("new labels", "new-labels.csv", _EXTERNAL, _TABLE),
    Subject("fit predictions", f"{_FIT}/predictions.csv", _crossval("experiment"), _TABLE),
    Subject("fit cost", f"{_FIT}/cost.json", _crossval("experiment"), (*m.ANY, *m.JSON)),
    Subject(
        "run configuration", "results/experiment.json", _crossval("experiment"), (*m.ANY, *m.JSON)
    ),
    Subject("slide", "slides/S.tiff", Command(_EXTRACT, ("out/*.h5",)), _PIXELS),
    Subject("encoder", "encoder.pt", Command(_EXTRACT, ("out/*.h5",)), _ZIPPED),
    Subject(
        "outline",
        "outlines/S.geojson",
        Command((*_EXTRACT, "--tissue-dir", "outlines"), ("out/*.h5",)),
        (*m.ANY, *m.TEXT, *m.JSON),
    ),
    Subject(
        "mask",
        "masks/S.png",
        Command((*_EXTRACT, "--tissue-dir", "masks"), ("out/*.h5",)),
        (*m.ANY, *m.PICTURE),
    ),
)


def cases(count: int, seed: int = 0) -> Iterator[Case]:
    """That many cases, over all subjects and mutations, the same for the same seed."""
    every = [(subject, mutation) for subject in SUBJECTS for mutation in subject.damage]
    order = Random(seed)
    drawn: list[tuple[Subject, Mutation]] = []
    while len(drawn) < count:
        drawn += order.sample(every, min(len(every), count - len(drawn)))
    for number, (subject, mutation) in enumerate(drawn):
        yield Case(number, subject, mutation, seed=seed * 1_000_003 + number)
