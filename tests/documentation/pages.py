"""The documentation as its readers take it: pages, their fenced blocks and their commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Written from the code at each build, and held to it by tests of their own.
GENERATED = DOCS / "reference" / "generated"

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ([\w./-]+\.yaml)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The YAML file that the block says it is, in its first line."""
        named = _FILE.match(self.text) if self.language == "yaml" else None
        return named[1] if named else None

    def commands(self) -> Iterator[list[str]]:
        """The words of each line that runs ``histodistill``, without that word."""
        if self.language not in ("", "sh", "bash"):
            return
        for line in self.text.replace("\\\n", " ").splitlines():
            if line.startswith("histodistill "):
                yield shlex.split(line, comments=True)[1:]


def pages() -> list[Path]:
    """Every page that a person wrote."""
    written = [page for page in DOCS.rglob("*.md") if GENERATED not in page.parents]
    return sorted([*ROOT.glob("*.md"), *written])


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(*found) for found in _FENCED.findall(page.read_text(encoding="utf-8"))]
