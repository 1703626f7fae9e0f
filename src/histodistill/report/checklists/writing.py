"""Checklists as Markdown, to be gone on with by hand."""

from __future__ import annotations

from collections.abc import Sequence

from histodistill.markdown import in_markdown
from histodistill.report.checklists.filling import Filled
from histodistill.report.tables import Cell, Section, Table, to_markdown

HEADER = ("Item", "What", "State", "From this run", "Yours to write")


def checklists_markdown(title: str, filled: Sequence[Filled], page: str) -> str:
    """All checklists, a table each; links lead to the page beside the file.

    Args:
        title: Of the report.
        filled: The checklists.
        page: Name of the page.
    """
    parts = [
        f"# Checklists of {in_markdown(title)}\n",
        "Filled by the machine where the run holds the evidence; check every item. Items are in "
        "our own short words, with the numbers of their sources.\n",
    ]
    for own in filled:
        parts.append(f"## {own.name}\n\n{own.source}. {summary(own)}\n")
        parts.append(to_markdown(_table(own, page)))
    return "\n".join(parts)


def summary(own: Filled) -> str:
    """How much of a checklist the run answers, in a sentence."""
    n = len(own.items)
    share = round(100 * own.answered / n)
    return (
        f"{own.answered} of {n} items ({share} %) are answered from this run, {own.whole} wholly."
    )


def _table(own: Filled, page: str) -> Table:
    rows = tuple(
        tuple(
            Cell(text)
            for text in (
                item.n,
                item.what,
                item.state,
                " ".join(f"{topic.said} [{page}#{topic.anchor}]" for topic in item.said),
                item.yours,
            )
        )
        for item in own.items
    )
    return Table(HEADER, (Section("", rows),))
