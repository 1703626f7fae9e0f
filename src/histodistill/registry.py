"""Parts that settings choose by name: those of this package, of installed ones, and of the user.

A registry knows the parts of one kind, students for example. Each part of this package declares
itself where it stands, in the registry's room, by the name that the registry has in the code::

    @STUDENTS.declare("wikg", text="WiKG, a graph that the patches draw", source="Li 2024, CVPR")
    class WiKG(MILStudent): ...

What it declares are literals. They are read from the source, which is not run for it: names are
checked and listed without importing what the parts themselves need, such as PyTorch.

A part of another package needs no line here. It is named by an import path,
``my_package.heads:TopK``, or by the name of an entry point in the registry's group. An import path
is code that will run: it belongs into settings that the user wrote, and is never followed from a
file that somebody else may have written.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache, cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

from histodistill.errors import InputError

_PACKAGE = Path(__file__).parent
# Folders of the files that import parts, which are at fault in none of them.
_IMPORTING = (_PACKAGE, Path(importlib.__file__).parent)
_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Declaration:
    """What a part says of itself; each kind adds its own.

    Attributes:
        name: What settings call it.
        text: What it is, in a line.
        source: Who described it first; empty where it has no source.
    """

    name: str
    text: str = ""
    source: str = ""


Part = TypeVar("Part")
Declared = TypeVar("Declared", bound=Declaration)
_Any = TypeVar("_Any")


@dataclass(frozen=True)
class Registry(Generic[Part, Declared]):
    """The parts of one kind.

    Attributes:
        name: What the registry is called in the code, ``STUDENTS`` for example.
        kind: What one of them is called in messages.
        declaration: What each of them declares.
        room: Package of this library, or module, in or below which they declare themselves.
        group: Entry points of installed packages that name further ones.
        base: Import path of the class that all of them are subclasses of; None where they are
            functions.
    """

    name: str
    kind: str
    declaration: type[Declared]
    room: str
    group: str
    base: str | None = None
    _of_part: dict[object, Declared] = field(default_factory=dict, repr=False, compare=False)

    def declare(self, name: str, **facts: Any) -> Callable[[_Any], _Any]:
        """Decorates a part with what it declares; in this package, all of it literals."""

        def declared(part: _Any) -> _Any:
            self._of_part[part] = self.declaration(name=name, **facts)
            return part

        return declared

    def names(self) -> tuple[str, ...]:
        """The parts of this package, then those of installed ones."""
        return tuple(dict.fromkeys((*self._own, *self._installed)))

    def own_names(self) -> tuple[str, ...]:
        """The parts of this package, in the order of their files and lines."""
        return tuple(self._own)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def check(self, name: str) -> str:
        """The name, if it is known or an import path. Nothing is imported.

        Raises:
            ValueError: It is neither.
        """
        if name in self.names() or is_import_path(name):
            return name
        close = get_close_matches(name, self.names(), n=3) or self.names()
        raise ValueError(
            f"unknown {self.kind} {name!r}, here and in installed packages; it is one of "
            f"{', '.join(close)}, or an import path such as my_package.my_module:MyClass"
        )

    def facts(self, name: str) -> Declared:
        """What a part declares. Parts of this package are not imported for it.

        Raises:
            InputError: There is no such part outside.
        """
        if name in self._own:
            return self._own[name][0]
        return replace(self.facts_of(self.load(name)), name=name)

    def facts_of(self, part: object) -> Declared:
        """What a part itself declares; the defaults for one that does not, such as a subclass."""
        if part in self._of_part:
            return self._of_part[part]
        found = inspect.getdoc(part) or ""
        name = f"{getattr(part, '__module__', '')}:{getattr(part, '__qualname__', '')}"
        return self.declaration(name=name, text=found.partition("\n")[0].rstrip("."))

    def load(self, name: str) -> Part:
        """Import a part.

        Raises:
            InputError: There is none of this name, or it is not of this kind.
        """
        if name in self._own:
            return cast("Part", imported(self._own[name][1]))
        if name in self._installed:
            path = self._installed[name].value
        elif is_import_path(name):
            path = name
        else:
            raise InputError(f"unknown {self.kind} {name!r}")
        return cast("Part", self._of_this_kind(name, self._imported(name, path)))

    def wrong_options(self, name: str, options: Mapping[str, Any]) -> Iterator[str]:
        """A sentence for every option that a part does not take, or not with such a value."""
        if not options:
            return
        taken = _options(cast("Callable[..., Any]", self.load(name)))
        has = f"its options are {', '.join(taken)}" if taken else "it has none"
        for option, value in options.items():
            if option not in taken:
                yield f"{self.kind} `{name}` has no option `{option}`; {has}"
            elif wrong := _wrong_value(taken[option], value):
                yield f"{self.kind} `{name}`: its option `{option}` {wrong}, not {value!r}"

    def package_of(self, name: str) -> str | None:
        """The package that brings a part, with its version; None for one of this package."""
        if name in self._own:
            return None
        if is_import_path(name):
            return name.partition(":")[0].partition(".")[0]
        distribution = self._installed[name].dist if name in self._installed else None
        return f"{distribution.name} {distribution.version}" if distribution else None

    def _imported(self, name: str, path: str) -> object:
        try:
            return imported(path)
        except Exception as error:  # whatever somebody's module does when it is imported
            raise InputError(
                f"{self.kind} `{name}`: cannot be imported: "
                f"{type(error).__name__}: {error}; {_remedy(path, error)}"
            ) from error

    def _of_this_kind(self, name: str, part: object) -> object:
        base = None if self.base is None else imported(self.base)
        if base is None and not callable(part):
            raise InputError(f"{self.kind} `{name}`: is not a function")
        if isinstance(base, type) and not (isinstance(part, type) and issubclass(part, base)):
            raise InputError(f"{self.kind} `{name}`: is not a subclass of {self.base}")
        return part

    @cached_property
    def _own(self) -> Mapping[str, tuple[Declared, str]]:
        """What the parts of this package declare, and the import path of each, by name."""
        return {
            name: (self.declaration(name=name, **facts), path)
            for registry, name, facts, path in _declared_in(self.room)
            if registry == self.name
        }

    @cached_property
    def _installed(self) -> Mapping[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}


def _options(part: Callable[..., Any]) -> dict[str, Any]:
    """The options of a part, with the type of each; Any where it says none that can be read."""
    try:
        signature = inspect.signature(part, eval_str=True)
    except Exception:  # names that are there for type checkers alone
        signature = inspect.signature(part)
    return {
        option.name: Any
        if option.annotation is option.empty or isinstance(option.annotation, str)
        else option.annotation
        for option in signature.parameters.values()
        if option.kind is option.KEYWORD_ONLY
    }


def _wrong_value(wanted: Any, value: Any) -> str:
    """What a value must be and is not; empty where it is, or where the type says nothing."""
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(wanted)
        # As JSON, since a list of YAML may stand for a tuple, and a whole number for any number.
        adapter.validate_json(json.dumps(value), strict=True)
    except PydanticSchemaGenerationError:
        return ""
    except (ValidationError, TypeError) as error:
        found = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        return found.replace("Input should", "must")
    return ""


def is_import_path(name: str) -> bool:
    """Whether a name is of the form ``package.module:Name``."""
    return _IMPORT_PATH.fullmatch(name) is not None


def imported(path: str) -> object:
    """What an import path stands for; importing it runs the module's code."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


def _remedy(path: str, error: Exception) -> str:
    """What to do where a part cannot be imported: its module is absent, fails, or lacks it."""
    module = path.partition(":")[0]
    if isinstance(error, ModuleNotFoundError) and f"{module}.".startswith(f"{error.name}."):
        return "install its package, or name its folder in the environment variable PYTHONPATH"
    if isinstance(error, SyntaxError) and error.filename:
        return f"mend {error.filename}, line {error.lineno}"
    places = [
        f"{frame.filename}, line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and Path(frame.filename).parent not in _IMPORTING
    ]
    return f"mend {places[-1]}" if places else f"the module {module} is there; correct the name"


def line_at_fault(error: BaseException, parts: Iterable[object]) -> str:
    """File and line, in the packages of some parts, that an error came from.

    Where none of their lines was at work, a call with other arguments for example: where the parts
    are defined.
    """
    parts = list(parts)
    modules = [_top_module(part) for part in parts]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if any(_holds(module, frame.filename) for module in modules):
            return f"{frame.filename}, line {frame.lineno}"
    return "; ".join(_defined_at(part) for part in parts)


def _top_module(part: object) -> ModuleType:
    """The package, or the single file, that a part was imported from."""
    return sys.modules[str(getattr(part, "__module__", __name__)).partition(".")[0]]


def _holds(module: ModuleType, file: str) -> bool:
    """Whether a file is of a top-level module, a package or a single file."""
    folders = getattr(module, "__path__", None)
    if folders is None:
        return file == module.__file__
    return any(Path(file).is_relative_to(folder) for folder in folders)


def _defined_at(part: object) -> str:
    try:
        return f"{inspect.getsourcefile(part)}, line {inspect.getsourcelines(part)[1]}"  # type: ignore[arg-type]
    except (OSError, TypeError):  # without source
        return str(getattr(part, "__module__", part))


_Found = tuple[str, str, dict[str, Any], str]


def _declared_in(room: str) -> Iterator[_Found]:
    """All that is declared in a room, in the order of its files."""
    place = _PACKAGE.joinpath(*room.split(".")[1:])
    for file in sorted(place.rglob("*.py")) or [place.with_suffix(".py")]:
        yield from _declarations(file)


@cache
def _declarations(file: Path) -> tuple[_Found, ...]:
    """Registry, name, facts and import path of every part that a file declares."""
    source = file.read_text(encoding="utf-8")
    if ".declare(" not in source:
        return ()
    names = file.relative_to(_PACKAGE).with_suffix("").parts
    module = ".".join((_PACKAGE.name, *names)).removesuffix(".__init__")
    return tuple(
        (registry, name, facts, f"{module}:{part.name}")
        for part in ast.parse(source).body
        if isinstance(part, ast.ClassDef | ast.FunctionDef)
        for decorator in part.decorator_list
        for registry, name, facts in _declaration(decorator)
    )


def _declaration(decorator: ast.expr) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What a decorator declares, and in which registry; nothing where it is another one."""
    match decorator:
        case ast.Call(func=ast.Attribute(ast.Name(registry), "declare"), args=[name]):
            facts = {each.arg: ast.literal_eval(each.value) for each in decorator.keywords}
            yield registry, ast.literal_eval(name), cast("dict[str, Any]", facts)
