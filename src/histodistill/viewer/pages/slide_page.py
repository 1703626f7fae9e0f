"""The page of a slide: map, layers, patches, genes, place and verdict."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from fastapi.concurrency import run_in_threadpool
from nicegui import events, ui

from histodistill.errors import InputError
from histodistill.viewer.addresses import PATIENTS, patient_address
from histodistill.viewer.layers import SlideMaps
from histodistill.viewer.pages.frame import NOTICE, add_style, chips
from histodistill.viewer.pages.gene_panel import show_genes
from histodistill.viewer.pages.layer_panel import LayerPanel
from histodistill.viewer.pages.patch_panel import PatchPanel
from histodistill.viewer.pages.place_panel import show_place
from histodistill.viewer.pages.review_bar import VERDICT_KEYS, ReviewBar
from histodistill.viewer.pages.slide_map import SlideMap
from histodistill.viewer.session import Session
from histodistill.viewer.world import World

_KEYS = {
    "a / d / x": "agree / disagree / not assessable, saved at once",
    "r": "write a remark; Enter saves it",
    "n / p": "next / previous patient, in the order of the table",
    "1 to 8": "go to a top patch",
    "h": "hide the layers, show them again",
    "l": "the next layer alone",
    "[ / ]": "fade the layers, bring them back",
    "g": "grey or coloured tissue below layers",
    "+ / − / 0": "zoom in / out / whole slide",
    "t": "back to the table",
}


@dataclass
class _Page:
    """What the keys of a page act on; parts appear as they are computed."""

    session: Session
    number: int
    review: ReviewBar
    map: SlideMap | None = None
    layers: LayerPanel | None = None
    patches: PatchPanel | None = None

    def clicked(self, x: float, y: float) -> None:
        """Choose the patch at a place."""
        if self.patches is not None:
            self.patches.choose_at(x, y)

    def step(self, step: int) -> None:
        """Go to the next patient, or back."""
        ui.navigate.to(self.session.address(self.session.neighbour(self.number, step)))


async def show_slide(session: Session, number: int, slide: str) -> None:
    """Lay out the page of one of a patient's slides; without a name, of the first."""
    patient = session.cohort.patients[number]
    add_style(patient)
    _header(session, number)
    names = session.cohort.slides.get(patient, ())
    shown = slide or next(iter(names), "")
    page = _Page(session, number, ReviewBar(session, number))
    ui.keyboard(on_key=lambda event: _pressed(page, event), ignore=["input", "textarea"])
    with ui.element("div").classes("viewer"):
        stage = ui.element("div").classes("stage")
        with ui.column().classes("side q-pa-md gap-2"):
            if len(names) > 1:
                _slides(patient, shown, names)
            panels = _tabs(session, number)
    if shown in names:
        await _fill(page, names.index(shown), shown, stage, panels)
    else:
        with stage:
            ui.label("This patient has no such slide here.").classes("q-pa-lg")


async def _fill(
    page: _Page,
    slide: int,
    name: str,
    stage: ui.element,
    panels: dict[str, ui.element],
) -> None:
    """The map at once where the slide is at hand; layers and patches when they are computed."""
    session, number = page.session, page.number
    address = f"/{session.key}/{number}/{slide}"
    with stage:
        waiting = ui.label("Computing where the model looked …").classes("waiting")
    if name in session.tiles:
        await _read_whole(session, name, waiting)
        await _lay(page, address, SlideMaps(name, None, ()), stage)
    await ui.context.client.connected()
    try:
        maps = (await session.maps(number)).slides[slide]
    except InputError as error:
        waiting.set_text(str(error))
        return
    waiting.delete()
    session.expect(number)
    if page.map is None:
        await _lay(page, address, maps, stage)
    if page.map is None or maps.places is None:
        with panels["layers"]:
            ui.label(maps.reason).classes("faint")
        return
    with panels["layers"]:
        page.layers = LayerPanel(maps, page.map)
    with panels["patches"]:
        at_hand = name in session.tiles
        page.patches = PatchPanel(address, maps, maps.places, page.map, has_picture=at_hand)


async def _read_whole(session: Session, slide: str, waiting: ui.label) -> None:
    """Wait for a slide that has to be read once before it can be shown, and tell how far it is."""
    with suppress(InputError):  # told when it is laid on the map
        if not await run_in_threadpool(session.tiles.waits, slide):
            return
        await ui.context.client.connected()
        before = waiting.text
        with waiting:
            told = ui.timer(0.5, lambda: waiting.set_text(_reading(session, slide)))
        await run_in_threadpool(session.tiles.prepare, slide)
        told.cancel()
        waiting.set_text(before)


def _reading(session: Session, slide: str) -> str:
    share = session.tiles.share_read(slide)
    return f"Reading the whole slide, which has no coarse level, once: {share:.0%}"


async def _lay(page: _Page, address: str, maps: SlideMaps, stage: ui.element) -> None:
    try:
        found: tuple[World, float | None] = await run_in_threadpool(page.session.world, maps)
    except InputError as error:
        with stage:
            ui.label(str(error)).classes("q-pa-lg")
        return
    with stage:
        page.map = SlideMap(address, *found, page.clicked)


def _header(session: Session, number: int) -> None:
    with ui.row().classes("bar w-full items-center gap-3 q-px-md q-py-sm"):
        ui.button("Patients", icon="arrow_back", on_click=lambda: ui.navigate.to(PATIENTS)).props(
            "flat dense no-caps"
        )
        ui.label(session.cohort.patients[number]).classes("text-h6").mark("patient")
        chips(session.cohort, number)
        ui.space()
        ui.label(NOTICE).classes("faint gt-sm")
        place = session.order.index(number) + 1 if number in session.order else 0
        for icon, step, told in (("chevron_left", -1, "Previous"), ("chevron_right", 1, "Next")):
            there = session.address(session.neighbour(number, step))
            ui.button(icon=icon, on_click=lambda there=there: ui.navigate.to(there)).props(
                f'flat dense aria-label="{told} patient"'
            ).tooltip(f"{told} patient")
        if place:
            ui.label(f"{place} of {len(session.order)}").classes("faint figure")
        ui.button(icon="keyboard", on_click=_help).props(
            'flat dense aria-label="Keyboard shortcuts"'
        ).tooltip("Keyboard shortcuts (?)")


def _slides(patient: str, slide: str, names: tuple[str, ...]) -> None:
    shown = ui.select(list(names), value=slide, label=f"{len(names)} slides")
    shown.props("dense options-dense").classes("w-full")
    shown.on_value_change(lambda event: ui.navigate.to(patient_address(patient, event.value)))


def _tabs(session: Session, number: int) -> dict[str, ui.element]:
    """The panels; genes and the feature map are filled when they are first opened."""
    with ui.tabs().props("dense no-caps align=left").classes("w-full") as tabs:
        for name in ("layers", "patches", "genes", "among others"):
            ui.tab(name, label=name.capitalize()).mark(f"tab-{name.split()[0]}")
    panels: dict[str, ui.element] = {}
    with ui.tab_panels(tabs, value="layers", keep_alive=True).classes("w-full"):
        for name in ("layers", "patches", "genes", "among others"):
            with ui.tab_panel(name).classes("q-pa-none q-pt-sm"):
                panels[name] = ui.column().classes("w-full gap-1")
    fill = {"genes": show_genes, "among others": show_place}

    async def opened(event: events.ValueChangeEventArguments[Any]) -> None:
        show = fill.pop(str(event.value), None)
        if show is not None:
            with panels[str(event.value)]:
                await show(session, number)

    tabs.on_value_change(opened)
    return panels


def _pressed(page: _Page, event: events.KeyEventArguments) -> None:
    held = event.modifiers
    if not event.action.keydown or held.ctrl or held.alt or held.meta:
        return
    key = event.key.name
    if key in VERDICT_KEYS and not event.action.repeat:
        page.review.give(VERDICT_KEYS[key])
    elif key in _MOVES:
        _MOVES[key](page)
    elif page.map is not None and key in _ZOOMS:
        _ZOOMS[key](page.map)
    elif page.layers is not None and key in _LAYERS:
        _LAYERS[key](page.layers)
    elif page.patches is not None and key.isdigit():
        page.patches.jump(int(key))


_MOVES: dict[str, Callable[[_Page], Any]] = {
    "n": lambda page: page.step(1),
    "p": lambda page: page.step(-1),
    "t": lambda _: ui.navigate.to(PATIENTS),
    "?": lambda _: _help(),
}
_ZOOMS: dict[str, Callable[[SlideMap], None]] = {
    "+": lambda shown: shown.zoom(1),
    "-": lambda shown: shown.zoom(-1),
    "0": lambda shown: shown.home(),
}
_LAYERS: dict[str, Callable[[LayerPanel], None]] = {
    "h": LayerPanel.toggle,
    "l": LayerPanel.next,
    "g": LayerPanel.toggle_grey,
    "[": lambda panel: panel.fade(-1),
    "]": lambda panel: panel.fade(1),
}


def _help() -> None:
    with ui.dialog(value=True) as dialog, ui.card():
        ui.label("Keyboard").classes("text-h6")
        with ui.grid(columns="auto 1fr").classes("gap-x-6 gap-y-1"):
            for key, told in _KEYS.items():
                ui.label(key).classes("text-weight-medium figure")
                ui.label(told)
        ui.button("Close", on_click=dialog.close).props("flat no-caps")
