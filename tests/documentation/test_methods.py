"""docs/methods.md knows every method."""

from __future__ import annotations

from pathlib import Path

from histodistill.baselines import BASELINES
from histodistill.experiment.recipes import recipes
from histodistill.model.registries import DISTILLERS, NETWORK_REGISTRIES

PAGE = (Path(__file__).parents[2] / "docs/methods.md").read_text(encoding="utf-8")


def test_every_recipe_and_baseline_stands_on_the_page() -> None:
    # Those of distillers with finished teachers are told once for all of them.
    told = {f"{name}-offline" for name in DISTILLERS}
    absent = [n for n in (*recipes(), *BASELINES) if n not in told and f"`{n}`" not in PAGE]
    assert absent == []


def test_what_a_network_declares_of_its_departures_stands_on_the_page() -> None:
    declared = [
        facts.differs
        for registry in NETWORK_REGISTRIES.values()
        for facts in map(registry.facts, registry)
        if facts.differs and not facts.differs.startswith("as ")
    ]
    assert declared
    assert [differs for differs in declared if differs not in PAGE] == []
