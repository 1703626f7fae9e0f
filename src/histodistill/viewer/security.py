"""Who may ask: only a browser that was given the token, for pages that load nothing elsewhere."""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_REFUSED = "Open the address that `histodistill view` printed: it holds the token of this session."
# Scripts of the page are those of this server; NiceGUI compiles its templates in the browser.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(24)


class Guard:
    """Lets through whoever knows the token, from its address or, later, from a cookie.

    Args:
        app: The server behind it.
        token: The token.
        port: The server's; browsers share cookies between the ports of a machine.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self.app = app
        self._token = token
        self._cookie = f"histodistill-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http" and self._given(scope):
            await self._welcome(scope)(scope, receive, send)
        elif self._known(scope) and _same_origin(scope):
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "http":
            refused = PlainTextResponse(_REFUSED, 403, headers=_HEADERS)
            await refused(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _given(self, scope: Scope) -> bool:
        asked = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        return self._is_token(asked.get("token", ""))

    def _known(self, scope: Scope) -> bool:
        try:
            cookies = SimpleCookie(Headers(scope=scope).get("cookie", ""))
        except CookieError:
            return False
        return self._cookie in cookies and self._is_token(cookies[self._cookie].value)

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self._token.encode())

    def _welcome(self, scope: Scope) -> RedirectResponse:
        """Take the token out of the address, so that no history or log keeps it."""
        rest = [
            pair
            for pair in parse_qsl(scope["query_string"].decode("latin-1"))
            if pair[0] != "token"
        ]
        # One slash alone: two would lead to another host.
        address = "/" + scope["path"].lstrip("/\\") + (f"?{urlencode(rest)}" if rest else "")
        answer = RedirectResponse(address, 303, headers=_HEADERS)
        # Lax: a link in a report leads here, and what other pages fetch or send is refused.
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="lax")
        return answer


def _same_origin(scope: Scope) -> bool:
    """Whether the page that asks is of this server; browsers tell of every other one."""
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _with_headers(send: Send) -> Send:
    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
        await send(message)

    return told
