"""The patient among the others, by what the model made of each."""

from __future__ import annotations

from typing import Any

from nicegui import events, ui

from histodistill.errors import InputError
from histodistill.viewer.addresses import patient_address
from histodistill.viewer.session import Session

# Okabe and Ito's colours, which the colour-blind can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_OTHER = "#9aa3af"


async def show_place(session: Session, number: int) -> None:
    """Lay out the feature map; a click on a patient opens them."""
    told = ui.label().classes("faint")
    progress = ui.linear_progress(0, show_value=False)
    patients = session.mapped
    try:
        for done, patient in enumerate(patients, start=1):
            await session.add_features(patient)
            progress.set_value(done / len(patients))
    except InputError as error:
        told.set_text(str(error))
        return
    finally:
        progress.delete()
    places, (first, second) = session.feature_places()
    what = "what the student made of the slides" if session.cohort.comparable else _MEAN_PATCH
    told.set_text(f"Principal components of {what}. Click a patient to open them.")
    chart = ui.echart(_options(session, number, places.tolist(), (first, second)))
    chart.style("height: 380px").classes("w-full").mark("place")
    chart.on_point_click(_opened)


_MEAN_PATCH = "the mean patch of each patient (the models of a run's folds cannot be compared)"


def _opened(event: events.EChartPointClickEventArguments) -> None:
    point: Any = event.data
    ui.navigate.to(patient_address(str(point["name"])))


def _options(
    session: Session, number: int, places: list[list[float]], shares: tuple[float, float]
) -> dict[str, Any]:
    cohort = session.cohort
    known = "truth" if cohort.table["truth"].ne("").any() else "call"
    numbers = {name: index for index, name in enumerate(cohort.patients)}
    points: dict[str, list[dict[str, Any]]] = {}
    for patient, place in zip(session.mapped, places, strict=True):
        index = numbers[patient]
        group = str(cohort.table[known].iloc[index]) or "unknown"
        own = {"value": place, "name": patient}
        points.setdefault(group, []).append(own)
        if index == number:
            here = {**own, "symbolSize": 22}
            points.setdefault("this patient", []).append(here)
    return {
        "legend": {"top": 0},
        # Drawn, not put into the page as HTML: names come from somebody's files.
        "tooltip": {"renderMode": "richText", ":formatter": "p => p.name"},
        "grid": {"left": 48, "right": 16, "top": 36, "bottom": 48},
        "xAxis": _axis(f"first ({shares[0]:.0%} of the variance)", 28),
        "yAxis": _axis(f"second ({shares[1]:.0%})", 34),
        "series": [_series(cohort.classes, name, points[name]) for name in sorted(points)],
    }


def _series(classes: tuple[str, ...], name: str, points: list[dict[str, Any]]) -> dict[str, Any]:
    if name == "this patient":
        ring = {"color": "rgba(0,0,0,0)", "borderColor": "#111111", "borderWidth": 3}
        return {"type": "scatter", "name": name, "data": points, "itemStyle": ring, "z": 5}
    colour = _COLOURS[classes.index(name) % len(_COLOURS)] if name in classes else _OTHER
    style = {"color": colour, "opacity": 0.75}
    return {"type": "scatter", "name": name, "data": points, "itemStyle": style, "symbolSize": 9}


def _axis(name: str, gap: int) -> dict[str, Any]:
    return {
        "name": name,
        "nameLocation": "middle",
        "nameGap": gap,
        "axisLabel": {"show": False},
        "splitLine": {"show": False},
        "scale": True,
    }
