"""Parts by name: declared in a room, in an installed package, or named by an import path."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from histodistill import registry as module
from histodistill.errors import InputError
from histodistill.registry import Declaration, Registry

ROOM = """
import nowhere_to_be_found

@SHAPES.declare("square", text="four equal sides", corners=4)
class Square: ...

@other
class Rectangle: ...

@COLOURS.declare("red")
@SHAPES.declare("triangle", source="Euclid")
class Triangle: ...
"""
OUTSIDE = """
class Shape:
    '''Any shape.'''

class Circle(Shape):
    '''Round. All of it.'''

class Tree: ...
"""


@dataclass(frozen=True)
class ShapeDeclaration(Declaration):
    """With corners."""

    corners: int = 0


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[type[Any], Any]:
    """A room with two parts, and a package outside with an entry point."""
    room = tmp_path / "house/shapes"
    room.mkdir(parents=True)
    (room / "plane.py").write_text(ROOM)
    (tmp_path / "house/functions").mkdir()
    (tmp_path / "house/functions/area.py").write_text("")
    outside = tmp_path / "outside"
    (outside / "their_shapes.dist-info").mkdir(parents=True)
    (outside / "their_shapes.py").write_text(OUTSIDE)
    (outside / "their_shapes.dist-info/METADATA").write_text("Name: their-shapes\nVersion: 1\n")
    (outside / "their_shapes.dist-info/entry_points.txt").write_text(
        "[house.shapes]\nround = their_shapes:Circle\n"
    )
    monkeypatch.syspath_prepend(str(outside))
    monkeypatch.delitem(sys.modules, "their_shapes", raising=False)
    monkeypatch.setattr(module, "_PACKAGE", tmp_path / "house")
    return Registry(
        "SHAPES",
        "shape",
        ShapeDeclaration,
        "house.shapes",
        "house.shapes",
        base="their_shapes:Shape",
    )


def test_what_a_room_declares_is_known_without_running_it(shapes: Registry[Any, Any]) -> None:
    assert shapes.names() == ("square", "triangle", "round")
    assert shapes.facts("square") == ShapeDeclaration("square", "four equal sides", "", 4)
    assert shapes.facts("triangle").source == "Euclid"
    assert shapes.check("square") == "square"
    with pytest.raises(ModuleNotFoundError, match="house"):
        shapes.load("square")


def test_a_part_of_an_installed_package(shapes: Registry[Any, Any]) -> None:
    assert shapes.check("round") == "round"
    assert "their_shapes" not in sys.modules
    assert shapes.load("round").__name__ == "Circle"
    assert shapes.facts("round") == ShapeDeclaration("round", "Round. All of it")


def test_a_part_by_its_import_path(shapes: Registry[Any, Any]) -> None:
    path = "their_shapes:Circle"
    assert shapes.check(path) == path
    assert shapes.load(path) is shapes.load("round")
    assert shapes.facts(path).name == path


def test_a_declared_part_outside_keeps_the_name_it_is_asked_for_by(
    shapes: Registry[Any, Any],
) -> None:
    circle = shapes.load("round")
    shapes.declare("ring", corners=1)(circle)
    assert shapes.facts("their_shapes:Circle") == ShapeDeclaration("their_shapes:Circle", corners=1)
    assert shapes.facts_of(circle).name == "ring"


def test_a_subclass_declares_for_itself(shapes: Registry[Any, Any]) -> None:
    circle = shapes.load("round")
    shapes.declare("ring", corners=1)(circle)
    assert shapes.facts_of(type("Ellipse", (circle,), {})).corners == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "squire",
            "here and in installed packages; it is one of square, or an import path",
        ),
        ("their_shapes.Circle", "square, triangle, round"),
        ("their_shapes:", "import path"),
        ("os:system('x')", "import path"),
    ],
)
def test_an_unknown_name_is_refused(shapes: Registry[Any, Any], name: str, message: str) -> None:
    with pytest.raises(ValueError, match="unknown shape") as problem:
        shapes.check(name)
    assert message in str(problem.value)
    with pytest.raises(InputError, match="unknown shape"):
        shapes.load(name)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "not_there:Circle",
            "imported: ModuleNotFoundError: No module named 'not_there'",
        ),
        ("their_shapes:Oval", "cannot be imported: AttributeError"),
        ("their_shapes:Tree", "is not a subclass of their_shapes:Shape"),
        ("os:getcwd", "is not a subclass of their_shapes:Shape"),
    ],
)
def test_what_an_import_path_does_not_lead_to(
    shapes: Registry[Any, Any], path: str, message: str
) -> None:
    with pytest.raises(InputError) as problem:
        shapes.load(path)
    assert message in str(problem.value)
    assert path in str(problem.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\nimport nowhere_at_all\n", "No module named 'nowhere_at_all'; mend {file}, line 2"),
        ("x = 1\n\nx = 1 / 0\n", "ZeroDivisionError: division by zero; mend {file}, line 3"),
        ("x = (\n", "SyntaxError: '(' was never closed (failing.py, line 1); mend {file}, line 1"),
        ("x = 1\n", "has no attribute 'Circle'; the module failing is there; correct the name"),
    ],
)
def test_a_module_that_fails_is_told_with_its_line(
    shapes: Registry[Any, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    message: str,
) -> None:
    file = tmp_path / "failing.py"
    file.write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "failing", raising=False)
    with pytest.raises(InputError) as problem:
        shapes.load("failing:Circle")
    assert message.format(file=file) in str(problem.value)


def test_functions_are_parts_as_well(shapes: Registry[Any, Any]) -> None:
    functions: Registry[Any, Declaration] = Registry(
        "FUNCTIONS", "function", Declaration, "house.functions", "house.functions"
    )
    assert functions.load("os.path:basename")("a/b") == "b"
    with pytest.raises(InputError, match="is not a function"):
        functions.load("os:sep")
