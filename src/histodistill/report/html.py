"""What all pages share: their templates, and pictures that lie inside the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

LIMITS = (
    "For research use only; not a medical device. No result here may guide the care of a patient.",
    "Intervals tell the uncertainty of drawing patients from a population like this cohort, not "
    "that of another hospital, scanner or population, nor that of training again.",
    "Genomics may contain the very gene that a marker measures (ESR1, PGR, ERBB2): a high figure "
    "with genomics can be a read-out of the label.",
)
"""What holds of every page of results."""

FOLD_LIMIT = (
    "Pooled figures are of all patients together and mix the models of all folds; mean ± sd is "
    "over folds. Where there are several seeds or repeats, both are of the mean over them."
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
    environment.filters["coded"] = coded
    return environment.get_template(name)


def coded(text: str) -> Markup:
    """A sentence for a page: what stands between backticks, as on the command line, is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def picture(paths: Mapping[str, Path], caption: str) -> Picture:
    """The SVG among a figure's files, to lie inside the page."""
    drawn = paths["svg"].read_bytes()
    return Picture(caption, svg_address(slim(drawn.decode())), _width(drawn))


def svg_address(svg: str) -> str:
    """A drawing as a data URI: a fifth shorter than in base64, and safe inside double quotes."""
    return f"data:image/svg+xml,{quote(' '.join(svg.split()), safe=_PLAIN)}"


# What a data URI and an attribute of HTML may hold as it is.
_PLAIN = " !()*,-./:;=?@_~$[]"
_CODE = re.compile(r"`([^`\n]+)`")
_TAG = re.compile(r"<[^>]*>")
_PATH = re.compile(r' d="([^"]*)"')
_SAID = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->|(?<=<g) id=\"[^\"]*\"", re.DOTALL)
_FONTS = re.compile(r"'DejaVu Sans',[^;\"]*")
_PLACE = re.compile(r"(?<= [xy]=\")-?[0-9.]+|(?<=[( ])-?[0-9]+\.[0-9]{2,}(?=[ )])")


def slim(svg: str) -> str:
    """The drawing to a tenth of a point, without what no reader sees: a third of the bytes."""
    bare = _FONTS.sub("'DejaVu Sans', Arial, sans-serif", _SAID.sub("", svg))
    steps = _PATH.sub(lambda path: f' d="{_tenths(path.group(1))}"', bare)
    return _TAG.sub(lambda tag: _PLACE.sub(_rounded, tag.group()), steps)  # never what it says


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number.group()):.1f}"


def _tenths(path: str) -> str:
    """A path of straight lines as steps from one tenth of a point to the next; others as it is.

    Each point is rounded where it lies, so that no error of rounding adds up. Steps of nothing are
    left out, and those that go on level or upright are one.
    """
    words = path.split()
    if not set(filter(str.isalpha, words)) <= {"M", "L", "z"}:
        return " ".join(words)
    told, steps, place, start = "", _Steps(), (0, 0), (0, 0)
    values = iter(words)
    for word in values:
        if word == "z":
            told, place = f"{told}{steps.taken()}z", start
            continue
        x, y = (round(10 * float(next(values))) for _ in range(2))
        if word == "M":
            told, start = f"{told}{steps.taken()}M{_tenth(x)} {_tenth(y)}", (x, y)
        else:
            steps.add(x - place[0], y - place[1])
        place = (x, y)
    return told + steps.taken()


class _Steps:
    """Steps of a line, in tenths of a point."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, int]] = []

    def add(self, x: int, y: int) -> None:
        """One more step; part of the last one where that goes on the same way."""
        if self._steps:
            last = self._steps[-1]
            if (x, y) == (0, 0):
                return
            if (x == last[0] == 0 and y * last[1] > 0) or (y == last[1] == 0 and x * last[0] > 0):
                self._steps[-1] = (last[0] + x, last[1] + y)
                return
        self._steps.append((x, y))

    def taken(self) -> str:
        """The steps as part of a path; none are left."""
        told = " ".join(f"{_tenth(x)} {_tenth(y)}" for x, y in self._steps)
        self._steps = []
        return f"l{told}" if told else ""


def _tenth(value: int) -> str:
    return f"{value / 10:g}"


def _width(svg: bytes) -> int:
    """The width that an SVG of matplotlib says of itself, in points, as CSS pixels."""
    found = re.search(rb'<svg[^>]* width="([0-9.]+)pt"', svg)
    return round(float(found.group(1)) * 96 / 72) if found else 0
