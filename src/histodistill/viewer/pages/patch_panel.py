"""The patches that speak loudest, and the one that was clicked."""

from __future__ import annotations

from typing import Any

from nicegui import events, ui

from histodistill.explanation.raster import PatchPlaces
from histodistill.viewer.layers import Layer, SlideMaps
from histodistill.viewer.pages.slide_map import SlideMap
from histodistill.viewer.ranking import box_of, patch_at, row_titles, strongest

_SHOWN = 8
_THUMB_PX, _LARGE_PX = 160, 448


class PatchPanel:
    """Thumbnails that jump to their place, and one patch with all its values.

    Args:
        address: Of the slide's pictures.
        maps: Of the slide.
        places: Where its patches lie.
        on: The map.
        has_picture: Whether the slide is at hand.
    """

    def __init__(
        self, address: str, maps: SlideMaps, places: PatchPlaces, on: SlideMap, *, has_picture: bool
    ) -> None:
        self._address, self._maps, self._places, self._map = address, maps, places, on
        self._has_picture = has_picture
        self.top: list[int] = []
        painted = {n: layer.name for n, layer in enumerate(maps.layers) if layer.painted}
        self._chosen = ui.column().classes("w-full gap-1")
        with self._chosen:
            ui.label("Click a patch on the slide, or one below.").classes("faint")
        if not painted:
            ui.label("No layer has regional evidence: patches are not ranked.").classes("faint")
            return
        ranked = ui.select(painted, value=next(iter(painted)), label="Ranked by")
        ranked.props("dense options-dense").classes("w-full")
        self._thumbs = ui.column().classes("w-full gap-1")
        ranked.on_value_change(self._ranked)
        self._show(maps.layers[ranked.value])

    def jump(self, number: int) -> None:
        """Go to one of the top patches, counted from 1."""
        if 1 <= number <= len(self.top):
            self.choose(self.top[number - 1], go=True)

    def choose_at(self, x: float, y: float) -> None:
        """Choose the patch at a place of the slide, level-0 px."""
        patch = patch_at(self._places, x, y)
        if patch is not None:
            self.choose(patch)

    def choose(self, patch: int, *, go: bool = False) -> None:
        """Show a patch large, with its values; ``go`` moves the map there."""
        box = box_of(self._places, patch)
        if go:
            self._map.go_to(box)
        else:
            self._map.mark(box)
        self._chosen.clear()
        with self._chosen.mark("patch"):
            if self._has_picture:
                ui.image(f"{self._address}/patch/{patch}?size={_LARGE_PX}").classes("w-full").props(
                    "no-spinner"
                )
            x, y = (round(edge) for edge in box[:2])
            ui.label(f"Patch {patch} at {x}, {y} px").classes("text-weight-medium figure")
            for layer in self._maps.layers:
                with ui.row().classes("w-full justify-between no-wrap faint figure"):
                    ui.label(layer.name)
                    ui.label(_value(layer, patch)).classes("text-no-wrap")

    def _ranked(self, event: events.ValueChangeEventArguments[Any]) -> None:
        event.sender.run_method("blur")  # so that keys reach the page again
        self._show(self._maps.layers[int(event.value)])

    def _show(self, layer: Layer) -> None:
        self.top, least = strongest(layer.values, _SHOWN)
        self._thumbs.clear()
        with self._thumbs:
            toward, against = row_titles(layer, self.top, least)
            self._row(toward, layer, self.top, numbered=True)
            self._row(against, layer, least, numbered=False)

    def _row(self, title: str, layer: Layer, patches: list[int], *, numbered: bool) -> None:
        ui.label(title).classes("text-weight-medium q-pt-sm")
        with ui.element("div").classes("thumbs"):
            for place, patch in enumerate(patches, start=1):
                told = f"{place} · " if numbered else ""
                thumb = ui.element("div").classes("thumb").props("tabindex=0 role=button")
                thumb.mark("thumb")
                thumb.on("click", lambda patch=patch: self.choose(patch, go=True))
                thumb.on("keydown.enter", lambda patch=patch: self.choose(patch, go=True))
                with thumb:
                    if self._has_picture:
                        ui.html(
                            f'<img loading="lazy" alt="patch {patch}" '
                            f'src="{self._address}/patch/{patch}?size={_THUMB_PX}">',
                            sanitize=False,
                        )
                    else:
                        ui.element("div").classes("nothing")
                    ui.label(f"{told}{layer.values[patch]:+.2f}").classes("figure")


def _value(layer: Layer, patch: int) -> str:
    return f"{layer.values[patch]:+.3f} {layer.unit}"
