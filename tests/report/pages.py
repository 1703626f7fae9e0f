"""A page of results, taken apart."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd

_NUMBER = re.compile(r"(?<![\w.])<?[+\-−]?\d+(?:\.\d+)?(?![\w.])")


class Tables(HTMLParser):
    """The tables of a page: the CSV that each names, and its cells as text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[list[str]]]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.found.append((dict(attrs).get("data-csv") or "", []))
        elif tag == "tr":
            self.found[-1][1].append([])
        elif tag in ("td", "th"):
            self.found[-1][1][-1].append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._open = False

    def handle_data(self, data: str) -> None:
        if self._open:
            self.found[-1][1][-1][-1] += data


def tables_of(page: Path) -> list[tuple[str, list[list[str]]]]:
    """The tables of a page, headers left out."""
    parser = Tables()
    parser.feed(page.read_text(encoding="utf-8"))
    return [(source, rows[1:]) for source, rows in parser.found]


def unfounded(cells: list[str], known: list[float]) -> list[str]:
    """Numbers of cells that are no rounding of a known number."""
    wrong = []
    for cell in cells:
        for text in _NUMBER.findall(cell):
            if text.startswith("<"):
                if not any(0 <= one < float(text[1:]) for one in known):
                    wrong.append(text)
                continue
            digits = len(text.partition(".")[2])
            value = float(text.replace("−", "-"))
            reach = 0.5 * 10**-digits * 1.000001 + 1e-12
            if not any(abs(abs(value) - abs(one)) <= reach for one in known):
                wrong.append(text)
    return wrong


def numbers_in(csv: Path) -> list[float]:
    """All numbers of a CSV, those within texts as well."""
    table = pd.read_csv(csv)
    values = table.select_dtypes("number").to_numpy(dtype=float).ravel()
    found = [float(v) for v in values if np.isfinite(v)]
    texts = table.select_dtypes(exclude="number").astype(str).to_numpy().ravel()
    found += [
        float(n.lstrip("<").replace("−", "-")) for text in texts for n in _NUMBER.findall(text)
    ]
    return found
