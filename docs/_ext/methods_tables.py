"""The tables of the methods page, from what every network, loss, recipe and baseline declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from histodistill.baselines.registry import BASELINES
from histodistill.experiment.recipes import recipe, recipes
from histodistill.model.registries import (
    DISTILLERS,
    GENE_TERMS,
    NETWORK_REGISTRIES,
    NetworkDeclaration,
)
from histodistill.registry import Declaration

_READS = {"student": "slides", "genomic": "genes", "multimodal": "slides and genes"}
_NONE = "-"


def tables() -> dict[str, str]:
    """Every table, as Markdown, by the name of the file that ``methods.md`` includes."""
    made: dict[str, Callable[[], str]] = {
        "students": lambda: networks_table("student"),
        "genomic": lambda: networks_table("genomic"),
        "multimodal": lambda: networks_table("multimodal"),
        "recipes": recipes_table,
        "baselines": baselines_table,
        "distillers": distillers_table,
        "gene-terms": gene_terms_table,
    }
    return {f"{name}.inc": table() for name, table in made.items()}


def networks_table(network: str) -> str:
    """The networks of one kind; those without a recipe of their own by the setting's key."""
    registry = NETWORK_REGISTRIES[network]
    return _table(
        ("recipe", "reads", "source", "what differs"),
        (
            (
                _called(network, facts),
                facts.reads or _READS[network],
                _source(facts),
                facts.differs or _NONE,
            )
            for facts in map(registry.facts, registry)
        ),
    )


def recipes_table() -> str:
    """The recipes that are neither one network alone nor one way to distil."""
    derived = {*DISTILLERS, *(f"{name}-offline" for name in DISTILLERS)}
    for registry in NETWORK_REGISTRIES.values():
        derived |= {facts.recipe or facts.name for facts in map(registry.facts, registry)}
    return _table(
        ("recipe", "what it is", "what differs from the source"),
        (
            (f"`{name}`", recipe(name).text, recipe(name).differs or _NONE)
            for name in recipes()
            if name not in derived or name == "mkd"
        ),
    )


def baselines_table() -> str:
    """The simple models."""
    reads = {"slides": "slides", "genomics": "genes", "genes": "one gene"}
    return _table(
        ("baseline", "reads", "what it is"),
        (
            (f"`{facts.name}`", reads[facts.reads], _source(facts))
            for facts in map(BASELINES.facts, BASELINES)
        ),
    )


def distillers_table() -> str:
    """The ways to distil."""
    return _table(
        ("name", "source", "in words", "reads", "own weights; balance", "what differs"),
        (
            (
                f"`{facts.name}`",
                facts.source,
                facts.in_words,
                facts.reads,
                facts.balance,
                facts.differs or _NONE,
            )
            for facts in map(DISTILLERS.facts, DISTILLERS)
        ),
    )


def gene_terms_table() -> str:
    """The terms of the loss that read genes."""
    return _table(
        ("name", "what it predicts", "student"),
        (
            (f"`{facts.name}`", facts.text, f"`{facts.student}`" if facts.student else "any")
            for facts in map(GENE_TERMS.facts, GENE_TERMS)
        ),
    )


def _called(network: str, facts: NetworkDeclaration) -> str:
    if not facts.alone:
        return f"`network: {{{network}: {facts.name}}}`"
    own = facts.recipe or facts.name
    return f"`{own}`" if own == facts.name else f"`{own}`; `{network}: {facts.name}`"


def _source(facts: Declaration) -> str:
    return f"{facts.text}; {facts.source}" if facts.source else facts.text


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
