"""Reporting checklists: what the page answers by itself, and what its author is left to write."""

from histodistill.report.checklists.filling import Filled, FilledItem, filled_checklists
from histodistill.report.checklists.topics import PageFacts, topics_of
from histodistill.report.checklists.writing import checklists_markdown

__all__ = [
    "Filled",
    "FilledItem",
    "PageFacts",
    "checklists_markdown",
    "filled_checklists",
    "topics_of",
]
