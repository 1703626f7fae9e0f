"""The genes of a patient, beside the slide."""

from __future__ import annotations

from nicegui import ui

from histodistill.errors import InputError
from histodistill.viewer.session import Session

_NONE = "No genes of this patient are at hand; a bundle reads them from --genomics NAME=FILE."


async def show_genes(session: Session, number: int) -> None:
    """Lay out a patient's genes; those farthest from the cohort's median come first."""
    told = ui.label("Reading this patient's genes …").classes("faint")
    try:
        genes = await session.worker.genes(session.cohort.patients[number])
    except InputError as error:
        told.set_text(str(error))
        return
    if genes.empty:
        told.set_text(_NONE)
        return
    told.delete()
    genes = genes.sort_values("percentile", key=lambda p: -(p - 50).abs(), kind="stable")
    search = ui.input(placeholder="Gene").props("dense outlined clearable").classes("w-full")
    columns = [
        {"field": "gene", "headerName": "Gene", "flex": 2},
        {"field": "block", "headerName": "Block", "flex": 2, "hide": genes["block"].nunique() == 1},
        {"field": "value", "headerName": "Value", "flex": 2, ":valueFormatter": _digits(2)},
        {
            "field": "percentile",
            "headerName": "Percentile",
            "headerTooltip": "Patients of this cohort with at most this value, %",
            "flex": 2,
            ":valueFormatter": _digits(0),
        },
    ]
    rows = genes.astype(object).where(genes.notna(), None).to_dict("records")
    grid = ui.aggrid({"columnDefs": columns, "rowData": rows}).style("height: 60vh").mark("genes")
    search.on_value_change(
        lambda event: grid.run_grid_method("setGridOption", "quickFilterText", event.value or "")
    )


def _digits(digits: int) -> str:
    return f"p => p.value == null ? '' : p.value.toFixed({digits})"
