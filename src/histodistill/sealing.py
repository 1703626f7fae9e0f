"""Test answers that nobody reads before all choices are made.

With ``splits: {seal: true}`` the answers to test patients are written encrypted, and opened once,
by ``histodistill unseal``, which first writes down when, and on which configuration. The key lies
in the run's folder: a seal keeps nobody out who means to get in, like that of an envelope. It keeps
figures of test patients out of sight while choices are made, and shows what was changed after them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from histodistill.errors import InputError
from histodistill.files import sha256, whole_file, write_json
from histodistill.gate.records import read_record
from histodistill.settings import Settings

SEALED = "predictions.sealed"
KEY = "seal.key"
OPENED = "unsealed.json"
CONTENTS = "sealed.json"


class Opening(Settings):
    """When a seal was opened, and on what.

    Attributes:
        time: In UTC, ISO 8601.
        configuration: SHA-256 of the configuration at that time.
        methods: Methods whose answers were sealed.
        proof: The same, encrypted with the run's key, so that a change of the record is seen.
    """

    time: str
    configuration: str
    methods: tuple[str, ...]
    proof: str


def is_sealed(run: Path) -> bool:
    """Whether a run's folder has a seal that is not opened."""
    return (run / KEY).is_file() and not (run / OPENED).is_file()


def unread_sentence(run: Path) -> str:
    """Why the answers of a run cannot be read; empty where no seal keeps them."""
    if is_sealed(run):
        return (
            f"{run}: the answers to test patients are sealed until all choices are made; then run "
            f"histodistill unseal {run}, which opens them once and writes down when"
        )
    if is_half_open(run):
        return (
            f"{run}: the opening of the answers to test patients was interrupted; run histodistill "
            f"unseal {run} again, which goes on with it"
        )
    return ""


def is_half_open(run: Path) -> bool:
    """Whether a seal was opened, and some answers lie sealed all the same."""
    if not (run / OPENED).is_file() or not (run / CONTENTS).is_file():
        return False
    places = [run / name for names in contents(run).values() for name in names]
    return any((place / SEALED).is_file() for place in places)


def require_cryptography() -> None:
    """Refuse early where the library is absent.

    Raises:
        InputError: It is not installed.
    """
    try:
        import cryptography.fernet  # noqa: F401
    except ImportError as error:
        raise InputError(
            "`splits: seal` needs the library cryptography; run: pip install 'histodistill[seal]'"
        ) from error


def begin(run: Path) -> None:
    """Make a run's key, where it has none yet; only its owner can read it, at any moment."""
    require_cryptography()
    from cryptography.fernet import Fernet

    path = run / KEY
    if not path.exists():
        with whole_file(path, private=True) as draft:
            draft.write_bytes(Fernet.generate_key())


def write_sealed(run: Path, sealed: Path, write: Callable[[Path], object]) -> None:
    """Write a file encrypted; what is not lies in no folder of the run, even for a moment.

    Args:
        run: The run's folder.
        sealed: The file.
        write: Writes what is to be sealed to a path.
    """
    with TemporaryDirectory() as apart:
        plain = Path(apart) / "plain"
        write(plain)
        with whole_file(sealed) as draft:
            draft.write_bytes(_cipher(run).encrypt(plain.read_bytes()))


def open_file(run: Path, sealed: Path, plain: Path) -> None:
    """Write what a sealed file holds.

    Raises:
        InputError: It is damaged, or was sealed with another key.
    """
    from cryptography.fernet import InvalidToken

    try:
        content = _cipher(run).decrypt(sealed.read_bytes())
    except InvalidToken as error:
        raise InputError(
            f"{sealed}: is damaged, or was sealed with another key than {run / KEY}; copy it again"
        ) from error
    with whole_file(plain) as draft:
        draft.write_bytes(content)


def write_contents(run: Path, folders: Mapping[str, list[str]]) -> None:
    """Write down where the sealed answers lie, in the order of the table.

    Args:
        run: The run's folder.
        folders: Folders below it, by method.
    """
    write_json(run / CONTENTS, folders)


def contents(run: Path) -> dict[str, list[str]]:
    """What :func:`write_contents` wrote.

    Raises:
        InputError: It is damaged.
    """
    return read_record(run / CONTENTS, dict[str, list[str]], "run crossval again")


def lies_open(run: Path) -> bool:
    """Whether nothing of a run that was sealed is sealed any more, whatever its record says."""
    if not (run / KEY).is_file() or not (run / CONTENTS).is_file():
        return False
    return not any(
        (run / name / SEALED).is_file() for own in contents(run).values() for name in own
    )


def record_opening(run: Path, configuration: Path) -> Opening:
    """Write down that the seal is opened now; before anything is."""
    told = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "configuration": sha256(configuration),
        "methods": list(contents(run)),
    }
    proof = _cipher(run).encrypt(json.dumps(told).encode()).decode()
    made = Opening.model_validate(told | {"proof": proof})
    write_json(run / OPENED, made.model_dump(mode="json"))
    return made


def opening_of(run: Path) -> Opening | None:
    """When the seal of a run was opened; None where there is none, or it is not.

    Raises:
        InputError: The record is damaged, was changed, or is gone though the answers lie open.
    """
    path = run / OPENED
    lost = "its date is lost; say so where the results are told"
    if not path.is_file():
        if lies_open(run):
            raise InputError(
                f"{path}: the answers of the run lie open, and the record of when is gone; copy it "
                f"again, or {lost}"
            )
        return None
    made = read_record(path, Opening, lost)
    if not _proven(run, made):
        raise InputError(
            f"{path}: was changed since the seal was opened, or is of another run; copy it again, "
            f"or {lost}"
        )
    return made


def _proven(run: Path, opening: Opening) -> bool:
    """Whether a record is what was written when the seal was opened.

    Raises:
        InputError: The key or the library is missing.
    """
    require_cryptography()
    from cryptography.fernet import InvalidToken

    try:
        told = json.loads(_cipher(run).decrypt(opening.proof.encode()))
    except (InvalidToken, ValueError):
        return False
    return bool(told == opening.model_dump(mode="json", exclude={"proof"}))


def _cipher(run: Path) -> Any:
    from cryptography.fernet import Fernet

    path = run / KEY
    try:
        return Fernet(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: the key of the sealed answers is missing or damaged; without it they cannot "
            "be opened: copy it again, or train anew in another folder"
        ) from error
