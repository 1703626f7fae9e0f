"""The layers of a slide: each with its switch, colours, opacity and threshold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nicegui import events, ui

from histodistill.viewer.layers import Layer, SlideMaps
from histodistill.viewer.pages.slide_map import SlideMap
from histodistill.viewer.palettes import Look, gradient, palettes_for

if TYPE_CHECKING:
    from nicegui.elements.leaflet.leaflet_layers import TileLayer

_OPACITY, _STEP = 0.75, 0.15


class LayerPanel:
    """Switches and sliders.

    Args:
        maps: Of the slide.
        on: The map that layers are laid on.
    """

    def __init__(self, maps: SlideMaps, on: SlideMap) -> None:
        self._map = on
        self._hidden: list[_LayerRow] = []
        self.rows: list[_LayerRow] = []
        listing = ui.column().classes("w-full gap-0")
        if maps.outline:
            ui.checkbox(
                "Outline of the tissue",
                on_change=lambda event: on.outline(maps.outline, bool(event.value)),
            ).props("dense").classes("q-pt-sm").mark("outline")
        self._grey = ui.checkbox("Grey tissue below layers", value=True, on_change=self._shown)
        self._grey.props("dense").classes("q-pt-sm").mark("grey")
        ranked = maps.ranked()
        with listing:
            for number, layer in enumerate(maps.layers):
                row = _LayerRow(number, layer, on, self._shown)
                self.rows.append(row)
                row.switch.set_value(layer is ranked)

    def toggle(self) -> None:
        """Hide all layers, or show again those that were hidden."""
        shown = [row for row in self.rows if row.switch.value]
        for row in shown or self._hidden:
            row.switch.set_value(not shown)
        self._hidden = shown

    def fade(self, direction: int) -> None:
        """Let more (negative) or less of the slide show through."""
        for row in self.rows:
            if row.switch.value:
                row.opacity.set_value(min(max(row.opacity.value + direction * _STEP, 0.0), 1.0))

    def next(self) -> None:
        """Show the next layer alone."""
        painted = [row for row in self.rows if row.layer.painted]
        shown = [place for place, row in enumerate(painted) if row.switch.value]
        if painted:
            following = (shown[-1] + 1) % len(painted) if shown else 0
            for place, row in enumerate(painted):
                row.switch.set_value(place == following)

    def toggle_grey(self) -> None:
        """Grey or coloured tissue below the layers."""
        self._grey.set_value(not self._grey.value)

    def _shown(self) -> None:
        self._map.grey(self._grey.value and any(row.switch.value for row in self.rows))


class _LayerRow:
    """One layer."""

    def __init__(self, number: int, layer: Layer, on: SlideMap, shown: Callable[[], None]) -> None:
        self.layer, self._number, self._map, self._told = layer, number, on, shown
        self._tiles: TileLayer | None = None
        with ui.column().classes("layer gap-1"):
            self.switch = ui.checkbox(layer.name, value=False, on_change=self._switched)
            self.switch.props("dense").classes("q-pt-xs").mark(f"layer-{number}")
            if not layer.painted:
                self.switch.disable()
                ui.label(_capital(layer.sentences)).classes("faint")
            with ui.column().classes("w-full gap-1").bind_visibility_from(self.switch, "value"):
                self._colours()
                self._sliders()
                for sentence in layer.sentences:
                    ui.label(sentence).classes("faint")

    def _colours(self) -> None:
        low, high = self.layer.limits
        self._bar = ui.element("div").classes("colours")
        self._bar.style(f"background: {gradient(self.layer.palette)}")
        with ui.row().classes("w-full justify-between faint figure no-wrap"):
            ui.label(f"{self.layer.ends[0]} {low:+g}" if self.layer.diverging else f"{low:g}")
            ui.label(self.layer.unit)
            ui.label(f"{self.layer.ends[1]} {high:+g}" if self.layer.diverging else f"{high:g}")

    def _sliders(self) -> None:
        low, high = self.layer.limits
        lowest = 0.0 if self.layer.diverging else low
        with ui.row().classes("w-full items-center no-wrap gap-2 faint"):
            ui.label("Opacity").style("min-width: 66px")
            self.opacity = ui.slider(
                min=0, max=1, step=0.05, value=_OPACITY, on_change=self._faded
            ).props("dense label")
            self.opacity.mark(f"opacity-{self._number}")
        with ui.row().classes("w-full items-center no-wrap gap-2 faint"):
            ui.label("Threshold").style("min-width: 66px")
            # The tiles are painted again once the slider rests.
            self._threshold = ui.slider(min=lowest, max=high, step=(high - lowest) / 60)
            self._threshold.set_value(lowest)
            self._threshold.props("dense label").on("change", self._repainted, args=None)
            self._threshold.mark(f"threshold-{self._number}")
            self._palette = ui.select(
                palettes_for(self.layer), value=self.layer.palette, on_change=self._repainted
            )
            self._palette.props("dense options-dense borderless").style("min-width: 128px")
            self._palette.mark(f"palette-{self._number}")

    def _look(self) -> Look:
        return Look(str(self._palette.value), round(float(self._threshold.value), 4))

    def _switched(self, event: events.ValueChangeEventArguments[Any]) -> None:
        if event.value and self._tiles is None:
            self._tiles = self._map.layer(self._number, self._look(), self.opacity.value)
        elif not event.value and self._tiles is not None:
            self._map.remove(self._tiles)
            self._tiles = None
        self._told()

    def _faded(self) -> None:
        if self._tiles is not None:
            self._map.fade(self._tiles, self.opacity.value)

    def _repainted(self) -> None:
        self._palette.run_method("blur")  # so that keys reach the page again
        self._bar.style(f"background: {gradient(self._look().palette)}")
        if self._tiles is not None:
            self._map.repaint(self._tiles, self._number, self._look())


def _capital(sentences: tuple[str, ...]) -> str:
    return sentences[0] if sentences else "No regional evidence."
