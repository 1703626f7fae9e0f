"""What all pages share: their templates, and pictures that lie inside the page."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

LIMITS = (
    "For research use only; not a medical device. No result here may guide the care of a patient.",
    "Intervals tell the uncertainty of drawing patients from a population like this cohort, not "
    "that of another hospital, scanner or population, nor that of training again.",
    "Genomics may contain the very gene that a marker measures (ESR1, PGR, ERBB2): a high figure "
    "with genomics can be a read-out of the label.",
)
"""What holds of every page of results."""

FOLD_LIMIT = (
    "Pooled figures are of all patients together, the mean over seeds and repeats, and mix the "
    "models of all folds; mean ± sd is over folds, of the mean over seeds."
)
"""What holds of every page of a cross-validation."""


@dataclass(frozen=True)
class Picture:
    """A figure inside a page: its caption, its data URI, and its width in CSS pixels."""

    caption: str
    source: str
    width: int


def page_template(name: str) -> Template:
    """A page's template, everything put into it escaped."""
    environment = Environment(
        loader=PackageLoader("histodistill.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def picture(paths: Mapping[str, Path], caption: str) -> Picture:
    """The SVG among a figure's files, to lie inside the page."""
    drawn = paths["svg"].read_bytes()
    encoded = base64.b64encode(_slim(drawn)).decode()
    return Picture(caption, f"data:image/svg+xml;base64,{encoded}", _width(drawn))


_PATH = re.compile(rb' d="([^"]*)"')
_LONG_NUMBER = re.compile(rb"-?\d+\.\d{2,}")
_METADATA = re.compile(rb"<metadata>.*?</metadata>", re.DOTALL)


def _slim(svg: bytes) -> bytes:
    """The drawing with the coordinates of its paths to a tenth of a point: half the bytes."""
    bare = _METADATA.sub(b"", svg)
    return _PATH.sub(lambda path: b' d="' + _tenths(path.group(1)) + b'"', bare)


def _tenths(path: bytes) -> bytes:
    rounded = _LONG_NUMBER.sub(lambda found: b"%.1f" % float(found.group()), path)
    return b" ".join(rounded.split())


def _width(svg: bytes) -> int:
    """The width that an SVG of matplotlib says of itself, in points, as CSS pixels."""
    found = re.search(rb'<svg[^>]* width="([0-9.]+)pt"', svg)
    return round(float(found.group(1)) * 96 / 72) if found else 0
