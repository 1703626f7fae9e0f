"""Names of files, patients and classes in Markdown, as text and nothing else."""

from __future__ import annotations

import re

# An underscore within a word is no markup, and brackets are a link only before what it leads to.
_SPECIAL = re.compile(r"[\\`*~<|]|(?<!\w)_|_(?!\w)|\](?=[(\[])")


def in_markdown(text: str) -> str:
    """Text as a cell of GitHub's Markdown, its special characters escaped."""
    return _SPECIAL.sub(r"\\\g<0>", text).replace("\n", " ")
