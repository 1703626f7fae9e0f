"""A pathologist's session in a real browser, and pages that open without a server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pandas as pd
import pytest

from histodistill.viewer.reviews import Reviews
from tests.cli.command_line import fail, succeed
from tests.deploy.bundles import bundle
from tests.explanation.programme_bundles import programme_member
from tests.viewer.small import PATTERN, SIDE, write_inputs

pytest.importorskip("nicegui")
playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("view"))


def words(inputs: Path, model: str = "model") -> list[object]:
    return [
        *("view", inputs / model, "--features", inputs / "features"),
        *("--slides", inputs / "slides", "--slide-mpp", "0.5", "--patient-pattern", PATTERN),
        *("--clinical", inputs / "clinical.csv", "--site-column", "SITE"),
        *(("--genomics", f"mrna={inputs / 'genes.csv'}") if model == "model" else ()),
    ]


@contextmanager
def server(inputs: Path, model: str = "model", *wanted: object) -> Iterator[str]:
    """The viewer in a process of its own, as a user starts it; its address with the token."""
    more = ["--port", "0", "--reviews", inputs / "reviews.csv", "--reviewer", "R", *wanted]
    command = [sys.executable, "-c", "from histodistill.cli.main import main; main()"]
    started = subprocess.Popen(
        [*command, *map(str, [*words(inputs, model), *more])],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert started.stdout is not None
    told = []
    try:
        for line in started.stdout:
            told.append(line)
            if found := re.search(r"http://\S+", line):
                yield found[0]
                break
        else:
            pytest.fail("".join(told))
    finally:
        started.send_signal(signal.SIGINT)
        started.wait(timeout=60)
        started.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield opened
        opened.close()


class Watched:
    """A page, and all that it asked for and complained of."""

    def __init__(self, browser) -> None:
        self.page = browser.new_page(viewport={"width": 1300, "height": 900})
        self.page.set_default_timeout(120_000)  # a slow machine is no failure
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda socket: self.asked.append(socket.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._said)

    def _said(self, message) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def asked_elsewhere(self, own: str) -> list[str]:
        known = (f"http://{own}/", f"ws://{own}/", "data:", "blob:", "file:")
        return [url for url in self.asked if not url.startswith(known)]


@needs_browser
def test_a_session(inputs: Path, browser) -> None:
    with server(inputs) as address:
        own = address.split("/")[2]
        watched = Watched(browser)
        page = watched.page
        page.goto(address)
        assert "token" not in page.url
        _find_and_open(page)
        _zoom_and_click(page)
        _switch_and_fade(page)
        _compare(page)
        _jump(page, watched)
        _review(page, inputs)
        _follow_links(page, own, inputs)
        _refuse_paths(page, own)
        _refuse_strangers(own)
        assert watched.complaints == []
        assert watched.asked_elsewhere(own) == []
        page.close()
    with server(inputs) as address:  # after a restart
        page = Watched(browser).page
        page.goto(address)
        page.get_by_text("disagree").wait_for()
        page.goto(f"http://{address.split('/')[2]}/patient?id=A")
        assert page.get_by_placeholder("Remark (r)").input_value() == "necrosis"
        page.close()


def _find_and_open(page) -> None:
    rows = page.locator(".ag-center-cols-container [role=row]")
    page.get_by_text("north").wait_for()
    assert rows.count() == 2
    for button in ("Worst errors first", "Least certain first"):
        page.get_by_text(button).click()
        page.locator(".ag-sort-descending-icon:not(.ag-hidden)").wait_for()
        cut = "() => [...document.querySelectorAll('.ag-header-cell-text')].filter("
        assert page.evaluate(cut + "t => t.scrollWidth > t.clientWidth).length") == 0
    page.get_by_placeholder("Search all columns").fill("south")
    page.wait_for_function(
        "document.querySelectorAll('.ag-center-cols-container [role=row]').length == 1"
    )
    page.get_by_placeholder("Search all columns").fill("")
    page.get_by_text("north").click()
    page.wait_for_url("**/patient?id=A")


def _zoom_and_click(page) -> None:
    page.locator(".tissue img.leaflet-tile-loaded").first.wait_for()
    page.locator(".crisp img.leaflet-tile-loaded").first.wait_for()
    before = page.locator(".scale").inner_text()
    page.keyboard.press("+")
    page.wait_for_function("text => document.querySelector('.scale').innerText != text", arg=before)
    page.keyboard.press("0")
    page.get_by_role("tab", name="Patches").click()
    page.locator(".stage .leaflet-container").click()
    page.get_by_text(re.compile(r"Patch \d+ at")).wait_for()


def _switch_and_fade(page) -> None:
    page.get_by_role("tab", name="Layers").click()
    page.keyboard.press("[")
    page.wait_for_function("document.querySelector('.crisp').style.opacity == '0.6'")
    with page.expect_request(re.compile("layer/0.*palette=PuOr_r")):
        page.locator(".layer .q-select").first.click()
        page.get_by_role("option", name="violet to orange").click()
    page.keyboard.press("h")
    page.wait_for_function("!document.querySelector('.crisp') && !document.querySelector('.grey')")
    page.keyboard.press("h")
    page.locator(".grey .crisp img.leaflet-tile-loaded").first.wait_for()


def _compare(page) -> None:
    """Where student and teacher differ, and the patient's genes beside the slide."""
    layer = page.get_by_role("checkbox", name=re.compile("^student − multimodal teacher"))
    with page.expect_response(re.compile("layer/2/.*palette=PiYG_r")) as answered:
        layer.click()
    assert answered.value.ok
    assert page.get_by_text("teacher sees more").is_visible()
    page.get_by_role("tab", name="Genes").click()
    page.get_by_role("gridcell", name="GENE7", exact=True).wait_for()
    page.get_by_placeholder("Gene", exact=True).fill("GENE12")
    page.get_by_role("gridcell", name="GENE7", exact=True).wait_for(state="detached")
    page.get_by_role("gridcell", name="GENE12", exact=True).wait_for()


def _jump(page, watched: Watched) -> None:
    page.get_by_role("tab", name="Patches").click()
    thumb = page.locator(".thumb").first
    patch = int(re.findall(r"\d+", thumb.locator("img").get_attribute("alt"))[0])
    thumb.click()
    place = f"Patch {patch} at {patch % 8 * SIDE}, {patch // 8 * SIDE} px"
    page.get_by_text(place).wait_for()
    assert any(f"/patch/{patch}?" in url for url in watched.asked)


def _review(page, inputs: Path) -> None:
    page.keyboard.press("d")
    page.get_by_text("saved: disagree").wait_for()
    page.keyboard.press("r")
    page.keyboard.type("necrosis")
    page.keyboard.press("Enter")
    reviews = Reviews(inputs / "reviews.csv")
    for _ in range(1200):
        page.wait_for_timeout(50)
        if len(pd.read_csv(reviews.path)) == 2:
            break
    rows = pd.read_csv(reviews.path)
    assert rows["verdict"].tolist() == ["disagree", "disagree"]
    assert rows["remark"].iloc[1] == "necrosis"


def _follow_links(page, own: str, inputs: Path) -> None:
    """A report of one's own leads to a patient, and to one of their slides."""
    report = inputs / "report.html"
    there = f"http://{own}/patient?id=A"
    report.write_text(f'<a href="{there}">A</a> <a href="{there}&slide=A-1">A-1</a>')
    for name in ("A", "A-1"):
        page.goto(report.as_uri())
        page.get_by_role("link", name=name, exact=True).click()
        page.locator(".tissue img.leaflet-tile-loaded").first.wait_for()
    asked = page.request.get(f"http://{own}/patient?id=..%2F..%2Fetc")
    assert (asked.status, "no patient" in asked.text()) == (404, True)


def _refuse_paths(page, own: str) -> None:
    """With the token too, no address leads to a file."""
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/patient/../../etc/passwd"):
        asked = page.request.get(f"http://{own}{path}")
        assert asked.status in (404, 422)
        assert "root:" not in asked.text()


def _refuse_strangers(own: str) -> None:
    from urllib.error import HTTPError

    for path in ("/", "/patient?id=A", "/_nicegui_ws/socket.io/?EIO=4&transport=polling"):
        with pytest.raises(HTTPError) as refused:
            urlopen(Request(f"http://{own}{path}"))
        assert refused.value.code == 403


@needs_browser
def test_programmes_and_genes_are_layers(inputs: Path, browser) -> None:
    bundle(programme_member()).save(inputs / "programmes")
    with server(inputs, "programmes", "--gene", "GATA3") as address:
        watched = Watched(browser)
        page = watched.page
        page.goto(address)
        page.goto(f"http://{address.split('/')[2]}/patient?id=A")
        page.get_by_text("Outline of the tissue").or_(page.get_by_text("Grey tissue")).wait_for()
        for name, r in (("programme 1", "0.60"), ("programme 2", "0.50"), ("mrna:GATA3", "0.40")):
            layer = page.get_by_role("checkbox", name=re.compile(f"^{name}"))
            with page.expect_response(re.compile(r"layer/\d+/.*palette=PuOr_r")) as answered:
                layer.click()
            assert answered.value.ok
            page.get_by_text(f"Predicted from slides with r = {r}").wait_for()
        assert page.get_by_text("programme 3").count() == 0  # not predicted above chance
        page.get_by_role("tab", name="Patches").click()
        page.locator(".stage .leaflet-container").click()
        page.get_by_text(re.compile(r"Patch \d+ at")).wait_for()
        assert page.get_by_text("mrna:GATA3", exact=True).first.is_visible()
        assert watched.complaints == []
        assert watched.asked_elsewhere(address.split("/")[2]) == []
        page.close()


@needs_browser
def test_pages_that_open_by_double_click(inputs: Path, browser, tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    said = succeed(*words(inputs), "--export", folder)
    assert "2 pages" in said.output
    assert {path.name for path in folder.iterdir()} == {"index.html", "001.html", "002.html"}
    watched = Watched(browser)
    page = watched.page
    page.goto((folder / "index.html").as_uri())
    page.get_by_role("link", name="A", exact=True).click()
    page.locator(".grey img.tissue").wait_for()
    page.locator("img.crisp").wait_for()
    page.locator("[data-opacity]").first.fill("0.3")
    assert page.locator("img.crisp").evaluate("image => image.style.opacity") == "0.3"
    page.locator("[data-layer]").first.uncheck()
    assert page.locator("img.crisp").count() == 0
    assert "µm" in page.locator(".scale").inner_text()
    page.locator("[data-box]").first.click()
    page.locator("path.leaflet-interactive").wait_for(state="attached")
    assert watched.complaints == []
    assert watched.asked_elsewhere("nowhere") == []
    page.close()
    problem = fail(*words(inputs), "--export", folder)
    assert "exists already" in problem[0]
    problem = fail(*words(inputs), "--export", tmp_path / "more", "--patient", "Z")
    assert "nobody of this name has slides: Z" in problem[0]


def test_options_without_effect_are_refused(inputs: Path) -> None:
    problems = fail(*words(inputs)[:6], "--patient", "A", "--column", "ER")
    assert sorted(problems) == [
        "--column has no effect without --clinical.",
        "--patient has no effect without --export.",
    ]
