"""The server: one process, one port, for whoever has the token."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from histodistill.errors import InputError
from histodistill.viewer.addresses import PATIENT, PATIENTS
from histodistill.viewer.security import Guard
from histodistill.viewer.session import Session

if TYPE_CHECKING:
    from fastapi import FastAPI


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens from now on; port 0 takes a free one.

    Raises:
        InputError: The port is taken, or the host is none of this machine's addresses.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen()  # whoever comes before the pages are ready waits
    except OSError as error:
        opened.close()
        raise InputError(
            f"port {port} of {host} cannot be opened ({error.strerror}); choose another --port"
        ) from error
    return opened


def serve(session: Session, token: str, opened: socket.socket) -> None:
    """Answer until it is interrupted."""
    import uvicorn

    port = int(opened.getsockname()[1])
    guarded = Guard(_application(session), token, port)
    config = uvicorn.Config(
        guarded,
        log_level="warning",
        access_log=False,
        ws_max_size=2**20,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run([opened])


def _application(session: Session) -> FastAPI:
    """The pages and pictures."""
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse
    from nicegui import app as pages
    from nicegui import ui

    from histodistill.viewer.pages.patients_page import show_patients
    from histodistill.viewer.pages.slide_page import show_slide
    from histodistill.viewer.routes import picture_routes

    @ui.page(PATIENTS)
    def patients() -> None:
        show_patients(session)

    @ui.page(PATIENT)
    async def slide(id: str, slide: str = "") -> object:  # noqa: A002 (its name in the address)
        number = session.number(id)
        if number is None:
            return PlainTextResponse(f"This viewer shows no patient {id!r}.", 404)
        await show_slide(session, number, slide)
        return None

    pages.include_router(picture_routes(session))
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    ui.run_with(server, title="histodistill", show_welcome_message=False, reconnect_timeout=30)
    return server
