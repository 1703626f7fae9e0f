"""Small pictures of slides with their maps, as `explain` drew them: worst errors, and others."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

MOST = 12
"""Pictures on a page; at most half of them are of slides that are no worst errors."""

_SIDE = 420
_QUALITY = 72


@dataclass(frozen=True)
class SlideMap:
    """A map of a patient's slide, as `explain` drew it.

    Attributes:
        picture: The file.
        said: Network, class, probability and verdict, in a sentence.
    """

    picture: Path
    said: str


@dataclass(frozen=True)
class Thumbnail:
    """A small picture on the page.

    Attributes:
        patient: Whose slide it is.
        anchor: The patient's place of the page.
        source: The picture as a data URI.
        said: What it shows.
        error: Whether the patient is among the worst errors.
    """

    patient: str
    anchor: str
    source: str
    said: str
    error: bool


def thumbnails(
    maps: Mapping[str, SlideMap], errors: Sequence[str], anchors: Mapping[str, str]
) -> list[Thumbnail]:
    """Small pictures: of the worst errors first, then of others in the order of the maps.

    Args:
        maps: By patient.
        errors: Patients of the worst errors, the worst first.
        anchors: The place of the page of each patient; others have no picture.
    """
    known = [name for name in maps if name in anchors]
    wrong = [name for name in dict.fromkeys(errors) if name in known]
    others = [name for name in known if name not in wrong]
    shown = wrong[: max(MOST // 2, MOST - len(others))]
    shown += others[: MOST - len(shown)]
    return [
        Thumbnail(name, anchors[name], _small(maps[name].picture), maps[name].said, name in wrong)
        for name in shown
    ]


def _small(path: Path) -> str:
    """The picture as a JPEG of at most 420 pixels a side, as a data URI."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((_SIDE, _SIDE))
    packed = io.BytesIO()
    picture.save(packed, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(packed.getvalue()).decode()}"
