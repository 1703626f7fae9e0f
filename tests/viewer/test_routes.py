"""Pictures are asked for by number: names and paths lead nowhere."""

import pytest

pytest.importorskip("fastapi")

from fastapi import FastAPI
from starlette.testclient import TestClient

from histodistill.viewer.cohort import Request
from histodistill.viewer.opening import open_source
from histodistill.viewer.reviews import Reviews
from histodistill.viewer.routes import picture_routes
from histodistill.viewer.session import Session
from histodistill.viewer.slide_tiles import SlideTiles
from histodistill.viewer.source import Source
from histodistill.workflows.new_features import NewFeatures
from tests.viewer.small import PATTERN, images, write_inputs


class _Here:
    """Computes in this process."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def maps(self, patient: str):
        return self._source.maps(patient)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    folder = write_inputs(tmp_path_factory.mktemp("routes"))
    features = NewFeatures(folder / "features", patient_pattern=PATTERN)
    source = open_source(Request(folder / "model", images(folder), features))
    tiles, reviews = SlideTiles(images(folder)), Reviews(folder / "reviews.csv")
    session = Session(source.cohort, _Here(source), tiles, reviews, "R", "key")  # type: ignore[arg-type]
    server = FastAPI()
    server.include_router(picture_routes(session))
    return TestClient(server)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("/key/0/0/slide/0/0/0", "image/jpeg"),
        ("/key/0/0/layer/0/1/1/0?palette=RdBu_r&threshold=0.5", "image/png"),
        ("/key/0/0/patch/47?size=64", "image/jpeg"),
        ("/key/1/0/slide/1/0/0", "image/png"),  # bare patches, for the slide is not at hand
    ],
)
def test_pictures(client: TestClient, address: str, kind: str) -> None:
    answer = client.get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)


@pytest.mark.parametrize(
    "address",
    [
        *("/key/2/0/slide/0/0/0", "/key/-1/0/slide/0/0/0", "/key/0/1/slide/0/0/0"),
        *("/key/0/0/slide/9/0/0", "/key/0/0/slide/0/1/0", "/key/0/0/slide/0/-1/0"),
        *("/key/0/0/layer/9/0/0/0?palette=RdBu_r", "/key/0/0/layer/0/0/0/0?palette=viridis"),
        "/key/1/0/layer/0/0/0/0?palette=RdBu_r",  # no regional evidence: never painted
        *("/key/0/0/patch/48", "/key/1/0/patch/0", "/other/0/0/slide/0/0/0"),
        *("/key/0/0/../../../../etc/passwd", "/key/0/0/slide/%2e%2e/%2e%2e/etc%2fpasswd"),
    ],
)
def test_what_is_not_there(client: TestClient, address: str) -> None:
    assert client.get(address).status_code in (404, 422)
