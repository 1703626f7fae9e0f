"""Drafting an experiment: look, choose, write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from histodistill.drafting.asking import Ask, take_default
from histodistill.drafting.choosing import chosen_settings
from histodistill.drafting.clinical import look_at_clinical
from histodistill.drafting.found import Found
from histodistill.drafting.genomics import look_at_block
from histodistill.drafting.given import Given
from histodistill.drafting.setting import Setting, decisions
from histodistill.drafting.slides import look_at_slides
from histodistill.drafting.writing import yaml_text
from histodistill.errors import InputError
from histodistill.files import write_text


@dataclass(frozen=True)
class Draft:
    """A drafted experiment.

    Attributes:
        settings: Its settings, each with its reasons.
        text: The same as a YAML file.
    """

    settings: tuple[Setting, ...]
    text: str

    @property
    def decisions(self) -> tuple[str, ...]:
        """What a person must decide before the experiment runs as meant, in sentences."""
        return tuple(decisions(self.settings))

    def reasons(self, key: str) -> tuple[str, ...]:
        """Why a setting of the first level is as it is, in sentences."""
        return next(setting.why for setting in self.settings if setting.key == key)

    def save(self, path: Path) -> None:
        """Write the YAML file.

        Raises:
            InputError: It is there already.
        """
        require_absent(path)
        write_text(path, self.text)


def draft_experiment(given: Given, path: Path, ask: Ask | None = None) -> Draft:
    """Look at a user's files and draft an experiment on them; nothing is written.

    Args:
        given: The files.
        path: Where the YAML file will lie: the paths in it are relative to its folder.
        ask: Asked (question, default) where a choice is one of taste; without it the defaults
            are taken.

    Raises:
        InputError: The clinical table cannot be read, or does not tell its patients. What is
            wrong with other files stands in the draft, as what a person must decide.
    """
    folder = path.absolute().parent
    clinical = look_at_clinical(given.clinical)
    patients = frozenset(clinical.values.patients)
    blocks = [look_at_block(name, file, patients) for name, file in given.genomics.items()]
    found = Found(clinical, look_at_slides(given, patients, folder), tuple(blocks))
    settings = chosen_settings(found, folder, ask or take_default)
    return Draft(settings, yaml_text(settings, _head(path, settings)))


def _head(path: Path, settings: tuple[Setting, ...]) -> list[str]:
    n_open = len(list(decisions(settings)))
    return [
        "An experiment, drafted by `histodistill init` from what the files hold.",
        f"Next: `histodistill audit {path.name}`, then `histodistill crossval {path.name}`.",
        "Paths are relative to this file. A misspelt key is an error. The reason of a setting "
        "stands above it; lines that may be taken instead stand below, commented out.",
        *([f"To be decided by a person first ({n_open}): see DECIDE."] if n_open else []),
    ]


def require_absent(path: Path) -> None:
    """Refuse to write over a file.

    Raises:
        InputError: Something is there.
    """
    if path.exists():
        raise InputError(
            f"{path}: is there already and was left as it is; name another file with --out."
        )
