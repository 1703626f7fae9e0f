"""The methods page knows every method, from what each declares."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from histodistill.baselines import BASELINES
from histodistill.experiment.recipes import recipes
from histodistill.model.registries import DISTILLERS, GENE_TERMS, NETWORK_REGISTRIES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    made = import_module("methods_tables").tables()
    assert isinstance(made, dict)
    return made


def test_every_method_stands_in_a_table(tables: dict[str, str]) -> None:
    # Those of distillers with finished teachers are told once for all of them.
    told = {f"{name}-offline" for name in DISTILLERS}
    text = "".join(tables.values())
    absent = [
        name
        for name in (*recipes(), *BASELINES, *GENE_TERMS)
        if name not in told and f"`{name}`" not in text
    ]
    assert absent == []


def test_every_departure_stands_in_a_table(tables: dict[str, str]) -> None:
    declared = [r.facts(name).differs for r in NETWORK_REGISTRIES.values() for name in r]
    declared += [DISTILLERS.facts(name).differs for name in DISTILLERS]
    text = "".join(tables.values())
    assert any(declared)
    assert [differs for differs in declared if differs not in text] == []


def test_the_page_includes_every_table_and_lists_no_method_by_hand(tables: dict[str, str]) -> None:
    page = (DOCS / "methods.md").read_text(encoding="utf-8")
    included = re.findall(r"```\{include\} reference/generated/(.*)\n", page)
    assert sorted(included) == sorted(tables)
    by_hand = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert set(by_hand) & {*recipes(), *BASELINES, *DISTILLERS, *GENE_TERMS} == set()


def test_the_cells_of_a_table_stay_their_own(tables: dict[str, str]) -> None:
    for table in tables.values():
        rows = table.splitlines()
        assert len(rows) > 2
        assert len({row.count("|") for row in rows}) == 1
