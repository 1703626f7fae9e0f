"""The generated reference leaves nothing out."""

import sys
from pathlib import Path

import pytest

from histodistill.baselines.registry import BASELINES
from histodistill.model.registries import DISTILLERS, STUDENTS

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


@pytest.fixture(autouse=True)
def _extensions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXTENSIONS))
    for name in ("settings_pages", "command_pages", "rooms_picture"):
        sys.modules.pop(name, None)


def test_every_setting_is_explained() -> None:
    from settings_pages import extraction_sections, keys, sections

    unexplained = [
        key.name
        for _, model, prefix in (*sections(), *extraction_sections())
        for key in keys(model, prefix)
        if not key.meaning
    ]
    assert unexplained == []


def test_every_setting_stands_on_the_page() -> None:
    from settings_pages import settings_page

    page = settings_page()
    for key in ("features.directory", "genomics.<name>.selection.exclude", "splits.scheme"):
        assert f"\n`{key}`\n: " in page
    for key, names in {
        "methods.<name>.network.student": tuple(STUDENTS),
        "methods.<name>.objective.distillation": tuple(DISTILLERS),
        "baselines": tuple(BASELINES),
    }.items():
        takes = page.split(f"\n`{key}`\n")[1].split("*Takes*")[1].split("*Default:*")[0]
        assert all(f"`{name}`" in takes for name in names)
        assert "an import path" in takes
    written = page.split("`methods.<name>.training.learning_rate`")[1]
    assert "*Takes* a number. *Default:* `0.0002`." in written.split("`methods")[0]


def test_what_an_extraction_records_stands_on_its_page() -> None:
    from settings_pages import extraction_page

    page = extraction_page()
    for key in ("encoder", "tiling.patch_px", "tissue.min_colour"):
        assert f"\n`{key}`\n: " in page


def test_every_command_and_option_is_explained() -> None:
    from command_pages import command_page, commands

    named = dict(commands())
    assert {"extract", "audit", "crossval", "train", "predict", "evaluate"} <= set(named)
    unexplained = [
        f"{name} {parameter.name}"
        for name, command in named.items()
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert unexplained == []
    assert all(f"## `histodistill {name}`" in command_page() for name in named)


def test_the_picture_shows_every_room_and_what_it_is_for() -> None:
    from rooms_picture import PACKAGE, ROOT, floors, purpose, rooms_picture

    shown = [room for floor in floors() for room in floor.rooms]
    source = ROOT / "src" / PACKAGE
    rooms = {path.parent.name for path in source.glob("*/__init__.py")}
    assert rooms <= {room.removeprefix(f"{PACKAGE}.") for room in shown}
    assert [room for room in shown if not purpose(room)] == []
    picture = rooms_picture()
    assert all(f">{room.removeprefix(f'{PACKAGE}.')}</text>" in picture for room in shown)
    # The insides of a room stand below it.
    assert shown.index(f"{PACKAGE}.training") < shown.index(f"{PACKAGE}.training.run")
