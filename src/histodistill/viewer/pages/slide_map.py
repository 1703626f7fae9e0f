"""The slide on a Leaflet map: deep zoom, layers, a scale bar, a marked patch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from nicegui import events, ui

from histodistill.tiling.preview import round_length
from histodistill.viewer.layers import Floats
from histodistill.viewer.palettes import Look
from histodistill.viewer.world import Box, World

if TYPE_CHECKING:
    from nicegui.elements.leaflet.leaflet_layers import GenericLayer, TileLayer

_BAR_PX = 120
# Leaflet goes on zooming so many steps beyond the slide's own pixels.
_MAGNIFIED = 2
_MARK = {"color": "#111111", "weight": 3, "fill": False, "interactive": False}
_OUTLINE = {"color": "#1b7f3b", "weight": 2, "fill": False, "interactive": False}


class SlideMap:
    """A map element.

    Args:
        address: Of the slide's pictures.
        world: Where the slide lies on the map.
        mpp: µm/px of level 0; None shows no scale bar.
        on_place: Told the level-0 px of every click.
    """

    def __init__(
        self,
        address: str,
        world: World,
        mpp: float | None,
        on_place: Callable[[float, float], None],
    ) -> None:
        self._address, self._world, self._mpp = address, world, mpp
        self._marked: GenericLayer | None = None
        self._outline: GenericLayer | None = None
        with ui.element("div").classes("stage") as self.stage:
            options = {
                "attributionControl": False,
                "zoomSnap": 0.5,
                "zoomDelta": 1,
                "maxZoom": world.max_zoom + _MAGNIFIED,
                "minZoom": 0,
            }
            middle = world.latlng(world.width / 2, world.height / 2)
            self._map = ui.leaflet(center=middle, zoom=0, options=options).mark("map")
            # NiceGUI begins with a street map.
            self._map.clear_layers()
            self._tiles("slide", "tissue", 1)
            self._scale()
        self._map.on("init", lambda: self.home())
        self._map.on("map-zoomend", self._zoomed, args=[["zoom"]])
        self._map.on(
            "map-click", lambda event: on_place(*world.pixel(*_latlng(event))), args=[["latlng"]]
        )

    def home(self) -> None:
        """Show the whole slide."""
        self._map.run_map_method("fitBounds", self._world.whole)

    def zoom(self, steps: int) -> None:
        """Zoom in (positive) or out."""
        self._map.run_map_method("zoomIn" if steps > 0 else "zoomOut", abs(steps))

    def layer(self, number: int, look: Look, opacity: float) -> TileLayer:
        """Lay a layer over the slide."""
        return self._tiles(_query(number, look), "crisp", 10 + number, opacity)

    def repaint(self, shown: TileLayer, number: int, look: Look) -> None:
        """Paint a layer in another way."""
        shown.run_method("setUrl", self._url(_query(number, look)))

    def fade(self, shown: TileLayer, opacity: float) -> None:
        """Let more or less of the slide show through a layer."""
        shown.options["opacity"] = opacity
        shown.run_method("setOpacity", opacity)

    def remove(self, shown: TileLayer) -> None:
        """Take a layer off."""
        self._map.remove_layer(shown)

    def grey(self, on: bool) -> None:
        """Show the slide in grey: stains are pink and violet, and would be taken for evidence."""
        self.stage.classes(add="grey") if on else self.stage.classes(remove="grey")

    def outline(self, rings: tuple[Floats, ...], on: bool) -> None:
        """Draw the outline of the tissue, or take it away."""
        if self._outline is not None:
            self._map.remove_layer(self._outline)
            self._outline = None
        if on:
            lines = [[list(self._world.latlng(x, y)) for x, y in ring] for ring in rings]
            self._outline = self._map.generic_layer(name="polygon", args=[lines, _OUTLINE])

    def mark(self, box: Box) -> None:
        """Draw a frame around a patch."""
        if self._marked is not None:
            self._map.remove_layer(self._marked)
        args = [self._world.bounds(box), _MARK]
        self._marked = self._map.generic_layer(name="rectangle", args=args)

    def go_to(self, box: Box) -> None:
        """Show a patch with the tissue around it."""
        left, top, right, bottom = box
        margin = 1.5 * (right - left)
        around = left - margin, top - margin, right + margin, bottom + margin
        self._map.run_map_method("fitBounds", self._world.bounds(around))
        self.mark(box)

    def _tiles(self, what: str, style: str, level: int, opacity: float = 1.0) -> TileLayer:
        return self._map.tile_layer(
            url_template=self._url(what),
            options={
                "minZoom": 0,
                "maxZoom": self._world.max_zoom + _MAGNIFIED,
                "maxNativeZoom": self._world.max_zoom,
                "noWrap": True,
                "bounds": self._world.whole,
                "className": style,
                "zIndex": level,
                "opacity": opacity,
            },
        )

    def _url(self, what: str) -> str:
        path, _, query = what.partition("?")
        return f"{self._address}/{path}/{{z}}/{{x}}/{{y}}" + (f"?{query}" if query else "")

    def _scale(self) -> None:
        if self._mpp is None:
            return
        with ui.element("div").classes("scale").mark("scale"):
            self._bar = ui.element("div").classes("scale-line")
            self._length = ui.label().classes("figure")
        self._set_scale(0)

    def _zoomed(self, event: events.GenericEventArguments) -> None:
        self._set_scale(float(event.args["zoom"]))

    def _set_scale(self, zoom: float) -> None:
        if self._mpp is None:
            return
        mpp = self._mpp * self._world.downsample(zoom)
        length = round_length(_BAR_PX * mpp)
        self._bar.style(f"width: {length / mpp:.0f}px")
        told = f"{length / 1000:g} mm" if length >= 1000 else f"{length:g} µm"
        self._length.set_text(f"{told} · {mpp:.3g} µm/px · {10 / mpp:.2g}×")


def _query(number: int, look: Look) -> str:
    return f"layer/{number}?{urlencode({'palette': look.palette, 'threshold': look.threshold})}"


def _latlng(event: events.GenericEventArguments) -> tuple[float, float]:
    place = event.args["latlng"]
    return float(place["lat"]), float(place["lng"])
