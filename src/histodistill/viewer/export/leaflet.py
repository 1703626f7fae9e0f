"""Leaflet, as the installed NiceGUI brings it, to be part of a page."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from histodistill.errors import InputError

_EXPORTED = re.compile(r"export\s*\{\s*(\w+)\s+as\s+leaflet\s*\};?")
_SOURCE_MAP = re.compile(r"//# sourceMappingURL=\S+")


def leaflet() -> tuple[str, str]:
    """Its script, which defines ``leaflet``, and its style sheet.

    A page that lies in a folder may not load modules from other files, so it holds the text.

    Raises:
        InputError: The installed version of NiceGUI has it elsewhere.
    """
    spec = find_spec("nicegui")
    place = Path(spec.origin if spec and spec.origin else "").parent / "elements/leaflet/dist"
    try:
        script = (place / "index.js").read_text(encoding="utf-8")
        style = (place / "leaflet/leaflet.css").read_text(encoding="utf-8")
    except OSError as error:
        raise _elsewhere() from error
    exported = _EXPORTED.search(script)
    if exported is None:
        raise _elsewhere()
    defined = _EXPORTED.sub(f"const leaflet = {exported[1]};", script)
    return _SOURCE_MAP.sub("", defined).replace("</script", r"<\/script"), style


def _elsewhere() -> InputError:
    return InputError(
        "this version of NiceGUI does not bring Leaflet as pages are written with; "
        "run: pip install 'histodistill[view]'"
    )
