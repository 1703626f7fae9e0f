"""Whoever lacks the token gets nothing, and pages load nothing from elsewhere."""

import pytest

pytest.importorskip("starlette")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from histodistill.viewer.security import Guard, new_token

TOKEN = new_token()


async def _page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("inside")


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("inside")


@pytest.fixture
def client() -> TestClient:
    inside = Starlette(routes=[Route("/{path:path}", _page), WebSocketRoute("/ws", _socket)])
    return TestClient(Guard(inside, TOKEN, 8765), base_url="http://127.0.0.1:8765")


@pytest.mark.parametrize("address", ["/", "/?token=", "/?token=wrong", "/patient/0", "/?Token=x"])
def test_without_the_token_everything_is_refused(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 403
    assert "inside" not in answer.text


def test_the_token_leaves_the_address_and_becomes_a_cookie(client: TestClient) -> None:
    answer = client.get(f"/patient/3?token={TOKEN}&x=1", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/patient/3?x=1")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    inside = client.get("/")
    assert inside.text == "inside"
    policy = inside.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_a_token_leads_to_no_other_host(client: TestClient) -> None:
    answer = client.get(
        f"http://127.0.0.1:8765//elsewhere.example/?token={TOKEN}", follow_redirects=False
    )
    assert answer.headers["location"] == "/elsewhere.example/"


def test_pages_of_other_servers_get_nothing(client: TestClient) -> None:
    client.get(f"/?token={TOKEN}")
    assert client.get("/", headers={"Origin": "http://elsewhere.example"}).status_code == 403
    assert client.get("/", headers={"Origin": "http://127.0.0.1:8765"}).status_code == 200
    assert client.get("/", headers={"Cookie": "histodistill-8765=wrong"}).status_code == 403


def test_sockets_need_the_token_too(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws"):
        pass
    client.get(f"/?token={TOKEN}")
    with client.websocket_connect("ws://127.0.0.1:8765/ws") as socket:
        assert socket.receive_text() == "inside"
