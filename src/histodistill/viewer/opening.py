"""What a folder is: the results of a cross-validation, or a bundle."""

from __future__ import annotations

from histodistill.errors import InputError
from histodistill.experiment.recorded import is_run
from histodistill.viewer.cohort import Request
from histodistill.viewer.source import Source


def open_source(request: Request) -> Source:
    """Read models and inputs.

    Raises:
        InputError: The folder is neither a run nor a bundle; they cannot be read; what was given
            has no effect.
    """
    run = is_run(request.place)
    unused = _unused_by_run(request) if run else _unused_by_bundle(request)
    if unused:
        raise InputError(*(f"{option} has no effect on {request.place}" for option in unused))
    # Each needs libraries that the other does without, and memory for them.
    if run:
        from histodistill.viewer.run_source import open_run

        return open_run(request)
    from histodistill.viewer.bundle_source import open_bundle

    return open_bundle(request)


def _unused_by_run(request: Request) -> list[str]:
    """Options that only a bundle reads, or that need features beside them."""
    recorded = request.features is None
    given = {"--clinical": request.labels, "--genomics": recorded and request.genomics}
    return [option for option, value in given.items() if value]


def _unused_by_bundle(request: Request) -> list[str]:
    return ["--method"] if request.method else []
