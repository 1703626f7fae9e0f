"""The optional libraries that slides need, and what to do when they are absent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from histodistill.errors import InputError


@contextmanager
def slides_extra() -> Iterator[None]:
    """Turn a failed import of a library of the extra ``slides`` into advice.

    Raises:
        InputError: If an import in the block fails.
    """
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"Slides need a library that is not installed ({error}); "
            "run: pip install 'histodistill[slides]'"
        ) from error
