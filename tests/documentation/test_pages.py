"""What pages show is what the program takes: commands, settings, links, quoted messages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from histodistill.cli.main import app
from histodistill.experiment import Experiment
from histodistill.experiment.recipes import merged
from tests.documentation.pages import DOCS, GENERATED, ROOT, Block, blocks, pages

# Its blocks name a package that the page writes; tests/cli/test_extending.py runs them.
_RUN_ELSEWHERE = {DOCS / "extending.md"}
_WHOLE: dict[str, Any] = {
    "name": "Whole",
    "cohort": {"clinical": "clinical.csv", "survival": {"time": "OS_MONTHS", "event": "OS"}},
    "features": {"directory": "features"},
    "genomics": {"mrna": {"file": "mrna.txt"}, "cna": {"file": "cna.txt"}},
    "targets": {"ER": {"classes": ["negative", "positive"], "positive": "positive"}},
    "methods": {"abmil": {}},
    "output": "results",
}
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def _commands() -> list[tuple[str, list[str]]]:
    return [
        (_name(page), command)
        for page in pages()
        for block in blocks(page)
        for command in block.commands()
    ]


@cache
def _options(name: str) -> tuple[frozenset[str], frozenset[str]]:
    """The options of a command: all, and those that must be given."""
    group: Any = typer.main.get_command(app)
    found = group.commands[name].params
    flags = [[*p.opts, *p.secondary_opts] for p in found if p.param_type_name == "option"]
    needed = [p.opts[0] for p in found if p.param_type_name == "option" and p.required]
    return frozenset(flag for own in flags for flag in own), frozenset(needed)


def test_pages_show_commands() -> None:
    assert len(_commands()) > 30


@pytest.mark.parametrize(("page", "command"), _commands(), ids=lambda value: str(value)[:60])
def test_every_command_on_a_page_is_known(page: str, command: list[str]) -> None:
    if command[0].startswith("-"):
        assert command == ["--version"]
        return
    known, needed = _options(command[0])
    given = {word.partition("=")[0] for word in command[1:] if word.startswith("--")}
    assert given <= known | {"--help"}
    assert "--list-methods" in given or needed <= given


def _settings() -> Iterator[tuple[str, Any]]:
    for page in set(pages()) - _RUN_ELSEWHERE:
        for block in blocks(page):
            for raw in _mappings(block):
                yield _name(page), raw


def _mappings(block: Block) -> Iterator[dict[str, Any]]:
    """What a block says of an experiment."""
    if block.language == "yaml":
        raw = yaml.safe_load(block.text)
        if isinstance(raw, dict) and raw.keys() <= {*Experiment.model_fields, "training"}:
            yield raw


def test_every_setting_on_a_page_is_valid() -> None:
    shown = list(_settings())
    assert len(shown) > 10
    for page, raw in shown:
        whole = raw if {"name", "output"} <= raw.keys() else merged(_WHOLE, raw)
        assert Experiment.model_validate(whole), page


def test_every_link_between_files_leads_somewhere() -> None:
    dead = [
        f"{_name(page)}: {target}"
        for page in [*pages(), ROOT / "llms.txt"]
        for target in _LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and _is_dead(page.parent / target.partition("#")[0])
    ]
    assert dead == []


def _is_dead(path: Path) -> bool:
    # Generated pages are there after the first build only.
    return not path.exists() and GENERATED not in path.resolve().parents


def test_the_index_for_language_models_names_every_page() -> None:
    index = (ROOT / "llms.txt").read_text(encoding="utf-8")
    absent = [
        _name(page)
        for page in pages()
        if DOCS in page.parents and page.name != "index.md" and _name(page) not in index
    ]
    assert absent == []


def test_messages_that_the_troubleshooting_quotes_exist() -> None:
    page = (DOCS / "how-to/troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^## `(.+)`$", page, re.MULTILINE)
    assert len(quoted) > 5
    said = _sentences()
    parts = [part for message in quoted for part in message.split("` … `")]
    assert [part for part in parts if part not in said] == []


def _sentences() -> str:
    """Every text in the package's code; neighbouring parts are one."""
    sources = (ROOT / "src").rglob("*.py")
    texts = [
        node.value
        for source in sources
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return "\n".join(texts)
