"""The libraries that the viewer needs, which are an extra."""

from __future__ import annotations

from importlib.util import find_spec

from histodistill.errors import InputError


def require_view_extra() -> None:
    """Check that the extra ``view`` is installed.

    Raises:
        InputError: It is not.
    """
    if find_spec("nicegui") is None:
        raise InputError(
            "The viewer needs a library that is not installed (nicegui); "
            "run: pip install 'histodistill[view]'"
        )
