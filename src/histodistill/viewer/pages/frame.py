"""What all pages have in common."""

from __future__ import annotations

import math
from pathlib import Path

from nicegui import ui

from histodistill.viewer.cohort import Cohort

_STYLE = Path(__file__).with_name("style.css")
NOTICE = "Research use only. Not a medical device."


def add_style(title: str) -> None:
    """Give a page its title and look."""
    ui.page_title(f"{title} · histodistill")
    ui.colors(primary="#2b5c8a", secondary="#5b6675", accent="#b05a00")
    ui.add_css(_STYLE)


def chips(cohort: Cohort, number: int) -> None:
    """The truth of a patient, where it is known, and what they were called."""
    row = cohort.table.iloc[number]
    truth, call = str(row["truth"]), str(row["call"])
    if truth:
        ui.label(f"truth: {truth}").classes("chip")
    if call:
        judged = "" if not truth else "right" if truth == call else "wrong"
        by = f" by {row['answered_by']}" if row["answered_by"] else ""
        ui.label(f"called {call}{by}").classes(f"chip {judged}").mark("call")
    if row["scope"]:
        ui.label("out of scope").classes("chip wrong").tooltip(str(row["scope"])).mark("scope")
    for network in cohort.networks:
        value = float(row[network])
        if not math.isnan(value):
            ui.label(f"{network} {value:.2f}").classes("chip figure")
