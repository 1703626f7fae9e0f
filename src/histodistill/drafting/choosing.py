"""From what the files hold to the settings of an experiment, each with its reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from histodistill.drafting.asking import Ask
from histodistill.drafting.clinical import Clinical
from histodistill.drafting.found import Found
from histodistill.drafting.genomics import Block
from histodistill.drafting.markers import FoundTarget, gene_names_of
from histodistill.drafting.methods import methods_setting
from histodistill.drafting.setting import Setting
from histodistill.drafting.slides import Slides
from histodistill.drafting.targets import chosen_targets, target_setting
from histodistill.drafting.writing import on_one_line

_MOST_FOLDS = 5
_MANY_PATCHES, _DRAWN_PATCHES = 2000, 1024
_FAR_UP = "../../../"


def chosen_settings(found: Found, folder: Path, ask: Ask) -> tuple[Setting, ...]:
    """The settings of the experiment.

    Args:
        found: What the files hold.
        folder: The folder of the experiment's file; paths are relative to it.
        ask: Asked where a choice is one of taste.
    """
    targets = chosen_targets(found, ask)
    settings = [
        Setting("name", found.clinical.path.resolve().parent.name or "My cohort"),
        *_simulated(found.clinical),
        _cohort(found, folder),
        *_features(found.slides, folder),
        *_genomics(found, [t.target.name for t in targets], folder, ask),
        target_setting(found, targets),
        _splits(found, targets, ask),
        *_training(found.slides),
        methods_setting(found),
        Setting("output", "results", ("Folder of all results; what is finished there is kept.",)),
    ]
    return tuple(settings)


def _simulated(clinical: Clinical) -> Iterator[Setting]:
    if clinical.simulated:
        yield Setting("simulated", True, ("The clinical table says so; the report will too.",))


def _cohort(found: Found, folder: Path) -> Setting:
    clinical, slides = found.clinical, found.slides
    remarks = clinical.remarks
    below = [Setting("clinical", _located(clinical.path, folder), remarks["clinical"])]
    if clinical.patient_column is not None:
        below.append(Setting("patient_column", clinical.patient_column))
    # Where no column is named, the reason stands with what follows.
    why_site = remarks["site_column"] if clinical.site_column is None else ()
    if clinical.site_column is not None:
        below.append(Setting("site_column", clinical.site_column, remarks["site_column"]))
    why_survival = remarks["survival"] if clinical.survival is None else ()
    if clinical.survival is not None:
        survival = clinical.survival.model_dump()
        below.append(Setting("survival", survival, remarks["survival"]))
    if slides is not None and slides.table is not None:
        below.append(Setting("slides", _located(slides.table, folder)))
    if slides is not None and slides.pattern is not None:
        below.append(Setting("patient_pattern", slides.pattern))
    instead = slides.instead if slides is not None else ()
    return Setting("cohort", tuple(below), (*why_site, *why_survival), instead=instead)


def _features(slides: Slides | None, folder: Path) -> Iterator[Setting]:
    if slides is not None:
        where = Setting("directory", _located(slides.directory, folder))
        yield Setting("features", (where,), slides.remarks, slides.decide)


def _genomics(found: Found, targets: list[str], folder: Path, ask: Ask) -> Iterator[Setting]:
    if not found.blocks:
        return
    blocks = [_block(block, found.clinical, targets, folder, ask) for block in found.blocks]
    yield Setting("genomics", tuple(blocks))


def _block(block: Block, clinical: Clinical, targets: list[str], folder: Path, ask: Ask) -> Setting:
    ranked = clinical.survival is not None
    selection: dict[str, Any] = {"method": "cox" if ranked else "variance"}
    read_outs = _read_outs(block, targets)
    question = (
        f"Leave the genes that encode the labels ({', '.join(read_outs)}) out of {block.name}?"
    )
    without = {**selection, "exclude": read_outs}
    left_out = bool(read_outs) and ask(question, False)
    why = (
        "Genes are ranked on the training patients of each fold, by "
        + ("survival (Cox), as MKD does." if ranked else "their variance.")
        + " Further: univariate, list, all.",
        *(_on_read_outs(read_outs) if read_outs else ()),
    )
    return Setting(
        block.name,
        (
            Setting("file", _located(block.path, folder)),
            *(Setting(key, value) for key, value in block.reading.items()),
            Setting(
                "selection",
                without if left_out else selection,
                why,
                instead=()
                if left_out or not read_outs
                else (f"selection: {on_one_line(without)}",),
            ),
            Setting("clip", 6, ("Scaled values are cut at 6 standard deviations.",)),
        ),
        block.remarks,
        block.decide,
    )


def _read_outs(block: Block, targets: list[str]) -> list[str]:
    """Genes of a block that encode a target."""
    return [
        next(name for name in names if name in block.genes)
        for names in gene_names_of(targets).values()
        if block.genes.intersection(names)
    ]


def _on_read_outs(genes: list[str]) -> tuple[str, ...]:
    encode = "encodes the label" if len(genes) == 1 else "encode the labels"
    return (
        f"{', '.join(genes)} {encode}: with genes, a prediction is partly a read-out. "
        "The line below leaves them out; take it instead if that is not what you ask.",
    )


def _splits(found: Found, targets: Sequence[FoundTarget], ask: Ask) -> Setting:
    fewest = [min(found.counts(t.target.name).values()) for t in targets]
    fewest = [n for n in fewest if n]
    folds = max(2, min(_MOST_FOLDS, min(fewest, default=_MOST_FOLDS * 2) // 2))
    n_sites = found.clinical.values.sites.nunique()
    can_part = n_sites >= max(folds, 4)
    apart = can_part and ask(f"Keep the {n_sites} hospitals apart in the folds?", False)
    value = {"scheme": "site" if apart else "stratified", "folds": folds}
    why = [f"{folds} folds of patients, balanced by class."]
    instead = []
    if folds < _MOST_FOLDS:
        why.append(f"No more, since the rarest class has {min(fewest)} patients.")
    if apart:
        why = [f"{folds} folds; no hospital is in two parts of one."]
    elif can_part:
        why.append(
            f"To see what is left in another hospital ({n_sites} are known), take the line below "
            "instead."
        )
        instead = [f"splits: {on_one_line({'scheme': 'site', 'folds': folds})}"]
    return Setting("splits", value, tuple(why), instead=tuple(instead))


def _training(slides: Slides | None) -> Iterator[Setting]:
    if slides is None:
        return
    why: tuple[str, ...] = (
        "Trained in bfloat16 where the machine is fast in it; `float32` gives the same numbers on "
        "every machine.",
    )
    drawn = {}
    if slides.patches is not None and slides.patches > _MANY_PATCHES:
        drawn = {"patches": _DRAWN_PATCHES, "validation_patches": _DRAWN_PATCHES}
        why += (
            f"Slides have about {slides.patches:.0f} patches: each epoch draws "
            f"{_DRAWN_PATCHES} of a bag. Without these settings whole bags are read, at many times "
            "the cost.",
        )
    yield Setting("training", {"precision": "auto", **drawn}, why)


def _located(path: Path, folder: Path) -> str:
    """A path relative to the experiment's folder, unless that leads far up."""
    relative = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    near = not relative.startswith(_FAR_UP)
    return relative if near else str(path.resolve())
