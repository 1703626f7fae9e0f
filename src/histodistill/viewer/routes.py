"""Pictures by number: no address holds a path or a name, so none can lead elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, HTTPException, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from histodistill.errors import InputError
from histodistill.viewer.heat_tiles import heat_tile, patch_tile
from histodistill.viewer.layers import SlideMaps
from histodistill.viewer.palettes import Look, palettes_for
from histodistill.viewer.session import Session
from histodistill.viewer.world import World

T = TypeVar("T")

_KEPT = {"Cache-Control": "private, max-age=86400"}
_LARGEST_PATCH = 1024


def picture_routes(session: Session) -> APIRouter:
    """The addresses of tiles and patches, all below the session's key."""
    router = APIRouter(prefix=f"/{session.key}/{{patient}}/{{slide}}")

    @router.get("/slide/{zoom}/{column}/{row}")
    async def slide_tile(patient: int, slide: int, zoom: int, column: int, row: int) -> Response:
        return await _slide_tile(session, patient, slide, (zoom, column, row))

    @router.get("/layer/{layer}/{zoom}/{column}/{row}")
    async def layer_tile(
        patient: int,
        slide: int,
        layer: int,
        zoom: int,
        column: int,
        row: int,
        palette: str,
        threshold: float = 0.0,
    ) -> Response:
        look = Look(palette, threshold)
        return await _layer_tile(session, patient, slide, layer, (zoom, column, row), look)

    @router.get("/patch/{patch}")
    async def patch(
        patient: int,
        slide: int,
        patch: int,
        size: Annotated[int, Query(ge=16, le=_LARGEST_PATCH)] = 128,
    ) -> Response:
        return await _patch(session, patient, slide, patch, size)

    return router


async def _slide_tile(
    session: Session, patient: int, slide: int, tile: tuple[int, int, int]
) -> Response:
    name = _slide(session, patient, slide)
    if name in session.tiles:
        found = await _readable(session.tiles.tile, name, *tile)
        return _picture(found, "image/jpeg")
    maps = await _maps(session, patient, slide)
    world, _ = session.world(maps)
    box = world.box(*tile)
    if box is None or maps.places is None:
        raise HTTPException(404)
    return _picture(await run_in_threadpool(patch_tile, maps.places, world, box, tile[0]))


async def _layer_tile(
    session: Session, patient: int, slide: int, layer: int, tile: tuple[int, int, int], look: Look
) -> Response:
    maps = await _maps(session, patient, slide)
    world: World = (await _readable(session.world, maps))[0]
    box = world.box(*tile)
    places = maps.places
    if box is None or places is None or not 0 <= layer < len(maps.layers):
        raise HTTPException(404)
    shown = maps.layers[layer]
    if look.palette not in palettes_for(shown) or not shown.painted:
        raise HTTPException(404)
    key = (patient, slide, layer, tile, look)
    picture = await run_in_threadpool(
        session.heat.get, key, lambda: heat_tile(places, shown, look, world, box, tile[0])
    )
    return _picture(picture)


async def _patch(session: Session, patient: int, slide: int, patch: int, size: int) -> Response:
    name = _slide(session, patient, slide)
    maps = await _maps(session, patient, slide)
    if maps.places is None or not 0 <= patch < len(maps.places.coords) or name not in session.tiles:
        raise HTTPException(404)
    x, y = maps.places.coords[patch]
    found = await _readable(session.tiles.square, name, float(x), float(y), maps.places.side, size)
    return _picture(found, "image/jpeg")


def _slide(session: Session, patient: int, slide: int) -> str:
    names = session.cohort.slides.get(session.patient(patient) or "", ())
    if not 0 <= slide < len(names):
        raise HTTPException(404)
    return names[slide]


async def _maps(session: Session, patient: int, slide: int) -> SlideMaps:
    _slide(session, patient, slide)
    try:
        return (await session.maps(patient)).slides[slide]
    except InputError as error:
        raise HTTPException(422, str(error)) from error


async def _readable(read: Callable[..., T], *words: object) -> T:
    """What a thread reads of a slide; a slide that cannot be read is told, with its name."""
    try:
        return await run_in_threadpool(read, *words)
    except InputError as error:
        raise HTTPException(422, str(error)) from error


def _picture(content: bytes | None, kind: str = "image/png") -> Response:
    if content is None:
        raise HTTPException(404)
    return Response(content, media_type=kind, headers=_KEPT)
