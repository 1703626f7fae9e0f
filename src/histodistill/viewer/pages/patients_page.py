"""The page of patients: a table to sort, filter and search, whose rows lead to the slides."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import pandas as pd
from nicegui import events, ui

from histodistill.viewer.pages.frame import NOTICE, add_style
from histodistill.viewer.patients_table import patients_table
from histodistill.viewer.session import Session

_REMARK_WIDTH = 180
# A header has room for its name, its funnel and the arrow of the order, so that none is cut; a
# cell has room for its text, up to a limit.
_LETTER_PX, _SIGNS_PX, _MARGINS_PX, _WIDEST_PX = 8.5, 82, 36, 280
_TEXTS = ("patient", "truth", "call", "answered by", "site", "verdict", "out of scope", "remark")
_HINTS = {
    "error": "1 − probability of the true class",
    "uncertainty": "1 where the two most probable classes are alike, 0 where the answer is sure",
    "out of scope": "why the model should not be trusted with these slides",
    "probability": "of the positive class; with more classes, of the one that is called",
}


def show_patients(session: Session) -> None:
    """Lay out the page."""
    cohort = session.cohort
    add_style("Patients")
    with ui.row().classes("bar w-full items-center gap-4 q-px-md q-py-sm"):
        ui.label(cohort.name).classes("text-h6")
        ui.space()
        ui.label(NOTICE).classes("faint")
    tools = ui.row().classes("w-full items-center gap-4 q-px-md q-pt-sm")
    for note in cohort.notes:
        ui.label(note).classes("faint q-px-md")
    grid = _grid(session)
    with tools:
        search = ui.input(placeholder="Search all columns").props(
            "dense outlined clearable debounce=150 bg-color=white"
        )
        search.mark("search")
        ui.button("Least certain first", on_click=lambda: _sort(grid, "uncertainty")).props(
            "flat dense no-caps"
        )
        if cohort.table["truth"].ne("").any():
            ui.button("Worst errors first", on_click=lambda: _sort(grid, "error")).props(
                "flat dense no-caps"
            )
        ui.space()
        judged = len(session.latest_reviews().keys() & set(cohort.patients))
        number = len(cohort.patients)
        counted = f"{number} patient{'s' if number != 1 else ''}"
        ui.label(f"{counted}, {judged} reviewed").classes("faint")
        ui.button("Verdicts as CSV", on_click=lambda: _download(session)).props(
            "flat dense no-caps"
        )
    search.on_value_change(
        lambda event: grid.run_grid_method("setGridOption", "quickFilterText", event.value or "")
    )

    async def opened(event: events.GenericEventArguments) -> None:
        with suppress(TimeoutError):  # a slow line: the order stays as it was
            shown = await grid.get_client_data(method="filtered_sorted", timeout=5)
            session.order = [int(row["number"]) for row in shown]
        ui.navigate.to(session.address(int(event.args["data"]["number"])))

    grid.on("rowClicked", opened, args=["data"])
    ui.keyboard(on_key=lambda event: _focus(event, search), ignore=["input", "textarea"])


def _grid(session: Session) -> ui.aggrid:
    table = patients_table(session.cohort, session.latest_reviews())
    rows = [
        {str(name).replace(".", "_"): _cell(value) for name, value in row.items()}
        for row in table.to_dict("records")
    ]
    shown = [str(name) for name in table.columns if name != "number"]
    options = {
        "columnDefs": [_column(table, name) for name in shown if _says_something(table, name)],
        "rowData": rows,
        "rowStyle": {"cursor": "pointer"},
        "animateRows": False,
        "suppressCellFocus": True,
        "enableCellTextSelection": True,
    }
    return (
        ui.aggrid(options, auto_size_columns=False)
        .classes("w-full q-pa-md")
        .style("height: calc(100vh - 118px)")
        .mark("patients")
    )


def _column(table: pd.DataFrame, name: str) -> dict[str, Any]:
    text = name in _TEXTS
    header = name.capitalize() if name in (*_TEXTS, *_HINTS, "slides") else name
    column: dict[str, Any] = {
        "headerName": header,
        "field": name.replace(".", "_"),  # AG Grid takes a dot for a path
        "headerTooltip": _HINTS.get(name, ""),
        "filter": "agTextColumnFilter" if text else "agNumberColumnFilter",
        "width": _width(header, table[name].astype(str).str.len().max() if text else 0),
        "resizable": True,
    }
    if name == "remark":
        column |= {"flex": 1, "minWidth": _REMARK_WIDTH}
    if not text and name != "slides":
        column[":valueFormatter"] = "p => p.value == null ? '' : p.value.toFixed(3)"
        column["type"] = "rightAligned"
    return column


def _width(header: str, longest: int) -> int:
    """Width of a column whose longest text has so many letters, px."""
    headed = round(_LETTER_PX * len(header)) + _SIGNS_PX
    return max(headed, min(round(_LETTER_PX * longest) + _MARGINS_PX, _WIDEST_PX))


def _cell(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _says_something(table: pd.DataFrame, name: str) -> bool:
    """Whether a column holds anything; an empty one only takes room."""
    return name in ("verdict", "remark") or bool((table[name].notna() & (table[name] != "")).any())


def _sort(grid: ui.aggrid, column: str) -> None:
    state = {"state": [{"colId": column, "sort": "desc"}], "defaultState": {"sort": None}}
    grid.run_grid_method("applyColumnState", state)


def _focus(event: events.KeyEventArguments, search: ui.input) -> None:
    if event.action.keydown and event.key == "/":
        search.run_method("focus")


def _download(session: Session) -> None:
    if session.reviews.path.exists():
        ui.download.content(session.reviews.path.read_bytes(), session.reviews.path.name)
    else:
        ui.notify("No verdict has been given yet.")
