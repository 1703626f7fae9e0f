"""A panel: the models of several targets in one folder, which are asked together.

Each target has an ordinary bundle in a folder of its name, with calibration, sites and card of its
own. Files that are the same in several of them, as the transforms of targets that were learnt
together, are stored once where the file system has hard links.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from histodistill.deploy.bundle import Bundle
from histodistill.errors import InputError, listed
from histodistill.files import whole_folder, write_json, write_text
from histodistill.gate.records import read_record
from histodistill.settings import Settings

PANEL = "panel.json"
_CARD = "MODEL_CARD.md"
_REMEDY = "copy the panel again"
# Names of targets, which are folders here: none leads out of the panel.
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$")]


class PanelDescription(Settings):
    """The whole of ``panel.json``.

    Attributes:
        format: Version of the panel's layout.
        targets: Its targets, in the order of their answers.
    """

    format: Literal[1] = 1
    targets: tuple[_Name, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Panel:
    """Models of several targets, made from the same inputs.

    Attributes:
        bundles: The model of each target, at least one.
    """

    bundles: Mapping[str, Bundle]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader must know about the models, in sentences."""
        return told_of_targets({name: bundle.notes for name, bundle in self.bundles.items()})

    def save(self, folder: Path, written: date | None = None) -> None:
        """Write all bundles; the folder appears whole or not at all.

        A single bundle is written as ever, without a panel around it.

        Args:
            folder: Where; must not exist yet.
            written: The day that the model cards show.

        Raises:
            InputError: The folder exists already.
        """
        if len(self.bundles) == 1:
            next(iter(self.bundles.values())).save(folder, written)
            return
        if folder.exists():
            raise InputError(f"{folder}: exists already; remove it or choose another folder")
        with whole_folder(folder) as draft:
            for name, bundle in self.bundles.items():
                bundle.save(draft / name, written)
            _store_once([draft / name for name in self.bundles])
            write_text(draft / _CARD, _card(self.bundles))
            described = PanelDescription(targets=tuple(self.bundles))
            write_json(draft / PANEL, described.model_dump(mode="json"))

    @classmethod
    def load(cls, folder: Path, allow: Collection[str] = (), targets: Sequence[str] = ()) -> Panel:
        """Read a panel, or a bundle as a panel of one target.

        Args:
            folder: The panel's or bundle's.
            allow: Import paths of networks of other packages that may be run, as for
                :meth:`Bundle.load`.
            targets: The targets that are wanted; all by default.

        Raises:
            InputError: Neither; a target that it does not have; as for :meth:`Bundle.load`;
                bundles of other features or genes.
        """
        places = bundle_places(folder)
        if places is None:
            bundle = Bundle.load(folder, allow)
            places = {bundle.info.target: folder}
            _require_known(folder, targets, places)
            return cls({bundle.info.target: bundle})
        _require_known(folder, targets, places)
        wanted = targets or tuple(places)
        bundles = {name: Bundle.load(places[name], allow) for name in wanted}
        problems = list(_foreign(folder, bundles))
        if problems:
            raise InputError(*problems)
        return cls(bundles)


def bundle_places(folder: Path) -> dict[str, Path] | None:
    """The bundle of each target of a panel; None where the folder is no panel.

    Raises:
        InputError: The panel's description is damaged.
    """
    path = folder / PANEL
    if not path.exists():
        return None
    described = read_record(path, PanelDescription, _REMEDY)
    return {name: folder / name for name in described.targets}


def bundle_of(folder: Path, target: str | None) -> Path:
    """The bundle of one target: in a panel, or the folder itself.

    Args:
        folder: A panel's, or a bundle's.
        target: The target; None for the only one there is.

    Raises:
        InputError: It has not this target, or several and none is named.
    """
    places = bundle_places(folder)
    if places is None:
        if target is not None:
            Panel.load(folder, targets=[target])
        return folder
    if target is None and len(places) > 1:
        raise InputError(
            f"{folder}: answers {listed(list(places))}; say which with --target, or give the "
            f"folder of one: {next(iter(places.values()))}"
        )
    _require_known(folder, [target] if target else [], places)
    return places[target] if target else next(iter(places.values()))


def told_of_targets(notes: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Sentences on each target, with its name before them unless all targets have the same."""
    of_all = set.intersection(*(set(own) for own in notes.values()))
    told = [
        sentence if sentence in of_all else f"{name}: {sentence}"
        for name, own in notes.items()
        for sentence in own
    ]
    return tuple(dict.fromkeys(told))


def _require_known(folder: Path, targets: Sequence[str], known: Collection[str]) -> None:
    unknown = [name for name in targets if name not in known]
    if unknown:
        raise InputError(
            f"{folder}: has no {listed(unknown)}; --target is one of {', '.join(known)}"
        )


def _foreign(folder: Path, bundles: Mapping[str, Bundle]) -> Iterator[str]:
    """Bundles that are not of their folder's target, or read something else than the first."""
    first = next(iter(bundles.values())).info
    for name, bundle in bundles.items():
        info = bundle.info
        if info.target != name:
            yield f"{folder / name}: a bundle of {info.target}; {_REMEDY}"
        if (info.features, info.blocks) != (first.features, first.blocks):
            yield (
                f"{folder / name}: reads other features or genes than {first.target}; predict "
                "with one target at a time: --target"
            )


def _store_once(folders: Sequence[Path]) -> None:
    """Link files that are the same in several bundles to the first of them."""
    for place, folder in enumerate(folders):
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            same = (other / path.relative_to(folder) for other in folders[:place])
            twin = next((p for p in same if p.exists() and filecmp.cmp(p, path, False)), None)
            if twin is not None:
                _link(twin, path)


def _link(twin: Path, path: Path) -> None:
    """A file in the place of its copy, where the file system can; else both stay."""
    link = path.with_name(f"{path.name}.link")
    with suppress(OSError):
        os.link(twin, link)
        link.replace(path)


def _card(bundles: Mapping[str, Bundle]) -> str:
    rows = [
        f"| {name} | {', '.join(bundle.info.classes)} | {bundle.info.method} | "
        f"{bundle.fingerprint} | [{name}/{_CARD}]({name}/{_CARD}) |"
        for name, bundle in bundles.items()
    ]
    lines = [
        f"# {', '.join(bundles)}",
        "",
        "Models of several targets, to be asked together; each folder is a bundle of its own.",
        "",
        "**Research use only. Not a medical device; not for diagnosis or treatment decisions.**",
        "",
        "| target | classes | method | bundle | card |",
        "|---|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"
