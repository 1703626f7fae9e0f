"""The page of the Python functions: nothing is left out, and its examples are true."""

from __future__ import annotations

import doctest
import re
import sys
from pathlib import Path

import pytest

import histodistill
from tests.documentation.pages import DOCS

PAGE = DOCS / "reference" / "api.md"
NAMES = dir(histodistill)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_public_name_stands_on_the_page() -> None:
    shown = re.findall(r"^\.\. auto\w+:: (\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(shown) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_says_what_it_is(name: str) -> None:
    assert (getattr(histodistill, name).__doc__ or "").strip()


def test_the_examples_of_the_page_are_true() -> None:
    outcome = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert outcome.attempted > 5
    assert outcome.failed == 0


def test_the_examples_of_the_docstrings_are_true() -> None:
    finder, runner = doctest.DocTestFinder(), doctest.DocTestRunner()
    for name in NAMES:
        thing = getattr(histodistill, name)
        within = sys.modules[thing.__module__]
        for example in finder.find(thing, name, module=within):
            runner.run(example)
    assert runner.tries > 5
    assert runner.failures == 0
