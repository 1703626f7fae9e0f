"""Weights of the hub are pinned on first use: the same revision and the same bytes ever after.

A name on the hub leads to whatever its owner put there last. The first download of a file notes its
revision (the commit) and its SHA-256 in the user's cache; later ones ask for that revision, and a
file of other bytes is refused.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from histodistill.encoders.encoder import Encoder
from histodistill.errors import InputError
from histodistill.files import sha256, user_cache, write_json
from histodistill.settings import Settings


class Pin(Settings):
    """What was first downloaded.

    Attributes:
        revision: The commit of the repository; empty where the download did not tell.
        sha256: Of the file.
    """

    revision: str
    sha256: str


def pinned(encoder: Encoder, name: str, download: Callable[..., str]) -> Path:
    """A weights file of the hub, the same as the first time.

    Args:
        encoder: An encoder that is on the hub.
        name: The file there.
        download: As ``huggingface_hub.hf_hub_download``: repository, file, ``revision``.

    Raises:
        InputError: The file is another one than the first time, or the pin is damaged.
    """
    place = _place(encoder, name)
    pin = _read(place)
    path = Path(download(encoder.hub, name, revision=pin.revision or None if pin else None))
    found = sha256(path)
    if pin is None:
        # Without a cache to write to, features still record the SHA-256.
        with contextlib.suppress(OSError):
            write_json(place, Pin(revision=_revision(path), sha256=found).model_dump())
    elif found != pin.sha256:
        raise InputError(
            f"{path}: not the weights of {encoder.title} that were first downloaded (SHA-256 "
            f"{found[:12]}…, not {pin.sha256[:12]}…). If you want these, remove {place}; features "
            "of the two cannot be mixed."
        )
    return path


def pinned_revision(encoder: Encoder, name: str) -> str | None:
    """The revision that was first downloaded; None where nothing was, or it did not tell.

    Raises:
        InputError: The pin is damaged.
    """
    pin = _read(_place(encoder, name))
    return pin.revision or None if pin else None


def _place(encoder: Encoder, name: str) -> Path:
    return user_cache() / "weights" / f"{encoder.hub.replace('/', '--')}--{name}.json"


def _read(place: Path) -> Pin | None:
    if not place.is_file():
        return None
    try:
        return Pin.model_validate_json(place.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise InputError(f"{place}: damaged; remove it, and check the weights again") from error


def _revision(path: Path) -> str:
    """The commit in the path of the hub's cache, ``snapshots/<commit>/<file>``."""
    parts = path.parts
    return parts[parts.index("snapshots") + 1] if "snapshots" in parts[:-1] else ""
