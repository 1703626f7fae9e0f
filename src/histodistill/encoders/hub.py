"""Weights fetched from the Hugging Face hub with the user's own token."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from histodistill.encoders.encoder import Encoder
from histodistill.encoders.pins import pinned
from histodistill.errors import InputError


def download_weights(encoder: Encoder) -> Path:
    """The encoder's weights file in the user's hub cache, downloaded if it is not there.

    Raises:
        InputError: The file is not the one that was first downloaded; the encoder is not on
            the hub, its terms were not accepted, or the hub cannot be reached; with what to do.
    """
    if not encoder.hub:
        raise InputError(
            f"The weights of {encoder.title} are not on a hub. Download them from {encoder.url} "
            "and give the file with --weights FILE."
        )
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
    except ImportError as error:
        raise InputError(
            f"Downloading {encoder.title} needs the extra 'encoders': pip install "
            "'histodistill[encoders]'. A file you have works without: --weights FILE."
        ) from error
    for name in encoder.hub_files:
        try:
            with _without_retries_told():
                return pinned(encoder, name, hf_hub_download)
        except EntryNotFoundError as error:
            # Also raised where the hub cannot be reached and the cache holds nothing.
            if name == encoder.hub_files[-1]:
                raise InputError(_unreachable(encoder, error)) from error
        except HfHubHTTPError as error:
            raise InputError(_refused(encoder, error)) from error
        except OSError as error:
            raise InputError(_unreachable(encoder, error)) from error
    raise AssertionError("an encoder on the hub names at least one file")


@contextmanager
def _without_retries_told() -> Iterator[None]:
    """The library's lines on each failed try stay out of sight; one sentence tells the end."""
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity

    before = get_verbosity()
    set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        set_verbosity(before)


def _refused(encoder: Encoder, error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return (
            f"{encoder.title} is gated: accept its terms at {encoder.url} with your Hugging Face "
            "account, then log in with 'hf auth login' or set HF_TOKEN. On a machine without "
            "network, give the downloaded file with --weights FILE."
        )
    return _unreachable(encoder, error)


def _unreachable(encoder: Encoder, error: Exception) -> str:
    return (
        f"The weights of {encoder.title} could not be downloaded from {encoder.url} "
        f"({type(error).__name__}). Download {' or '.join(encoder.hub_files)} on a machine with "
        "network and give the file with --weights FILE."
    )
