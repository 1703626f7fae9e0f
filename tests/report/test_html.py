"""Pictures inside a page: as drawn, to a tenth of a point, in fewer bytes."""

import re
from urllib.parse import unquote

import numpy as np
import pytest
from matplotlib.figure import Figure

from histodistill.report.html import picture, slim, svg_address
from histodistill.report.plots import write_figure


def points(path: str) -> list[tuple[float, float]]:
    """The points of a path of straight lines, absolute or by steps, M and L or l."""
    found: list[tuple[float, float]] = []
    for letter, rest in re.findall(r"([MLl])([^MLlz]*)", path):
        values = [float(v) for v in rest.split()]
        for x, y in zip(values[::2], values[1::2], strict=True):
            before = found[-1] if letter == "l" else (0.0, 0.0)
            found.append((before[0] + x, before[1] + y))
    return found


def test_a_curve_stays_where_it_was_drawn() -> None:
    rng = np.random.default_rng(0)
    drawn = np.cumsum(rng.normal(0, 30, (200, 2)), axis=0)
    path = " ".join(f"{'M' if k == 0 else 'L'} {x:f} {y:f}" for k, (x, y) in enumerate(drawn))
    (short,) = re.findall(r'd="([^"]*)"', slim(f'<svg><path d="{path}"/></svg>'))
    assert len(short) < len(path) / 2
    np.testing.assert_allclose(points(short), drawn, atol=0.051)


def test_steps_that_go_on_level_or_upright_are_one_and_closed_parts_close() -> None:
    path = "M 1 1 L 2 1 L 3 1 L 3 1 L 3 4 L 3 6 L 3 5 z M 9 9 L 9 9 z"
    assert slim(f'<path d="{path}"/>') == '<path d="M1 1l2 0 0 5 0 -1zM9 9l0 0z"/>'
    curved = "M 0 0.5 C 0.2 0.5 0.5 0.2 0.5 0 z"
    assert slim(f'<path d="{curved}"/>') == f'<path d="{curved}"/>'


def test_the_numbers_that_a_drawing_says_are_not_rounded(tmp_path) -> None:
    figure = Figure()
    said = ["abmil: 0.837 [0.79-0.88]", "above 49.75 to 58.52 years", "(0.125 )"]
    axes = figure.subplots()
    axes.set_yticks(range(len(said)), said)
    drawn = write_figure(figure, tmp_path, "drawn")
    text = unquote(picture(drawn, "A caption").source)
    assert all(words in text for words in said)
    tags = "".join(re.findall("<[^>]*>", text))
    assert {len(digits) for digits in re.findall(r"[ (]-?[0-9]+\.([0-9]+)(?=[ )])", tags)} == {1}


@pytest.mark.parametrize("name", ["plain", 'it\'s "quoted" & 50 % <of> #1'])
def test_an_address_is_safe_in_an_attribute_and_reads_as_the_drawing(name: str, tmp_path) -> None:
    figure = Figure()
    figure.subplots().plot([0, 1, 2], [1, 0, 1], label=name)
    figure.legend()
    found = picture(write_figure(figure, tmp_path, "drawn"), "A caption")
    kind, _, content = found.source.partition(",")
    assert kind == "data:image/svg+xml"
    assert not set("\"'<>#&") & set(content)
    text = unquote(content)
    assert "<!--" not in text
    assert "<metadata" not in text
    assert 'viewBox="0 0 ' in text
    assert svg_address(" ".join(text.split())) == found.source
