"""Blocks of genes, as the networks of a bundle read them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import pandas as pd

from histodistill.deploy.bundle import Bundle
from histodistill.errors import listed


def gene_problems(
    bundle: Bundle, genomics: Mapping[str, pd.DataFrame], max_missing: float
) -> Iterator[str]:
    """Blocks that the bundle does not read, and those that lack too many genes, in sentences."""
    for name, table in genomics.items():
        if name not in _blocks(bundle):
            known = ", ".join(_blocks(bundle)) or "none"
            yield f"the bundle reads no block {name}; it reads: {known}"
            continue
        genes = _genes(bundle, name)
        missing = genes.difference(table.columns)
        if len(missing) > max_missing * len(genes):
            yield (
                f"block {name}: {len(missing)} of the bundle's {len(genes)} genes are absent "
                f"({listed(sorted(missing))}), more than the share {max_missing:g} that may be "
                f"imputed; {_in_another_case(missing, table) or 'are symbols the same?'}"
            )


def completed(
    bundle: Bundle, genomics: Mapping[str, pd.DataFrame], max_missing: float = 0.2
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """What the networks read of some tables, and what those lacked, in sentences.

    Args:
        bundle: A trained model.
        genomics: Blocks, patients x genes; those that no network reads are left out.
        max_missing: Share of a block's genes that a patient may lack; who lacks more is left out.

    Returns:
        Blocks with all genes of the bundle, absent ones as missing values; and notes.
    """
    tables: dict[str, pd.DataFrame] = {}
    notes = []
    for name in _blocks(bundle):
        if (table := genomics.get(name)) is None:
            continue
        genes = _genes(bundle, name)
        tables[name] = table.reindex(columns=sorted(genes))
        missing = sorted(genes.difference(table.columns))
        if missing:
            other_case = _in_another_case(missing, table)
            notes.append(
                f"block {name}: {len(missing)} of {len(genes)} genes are absent and were "
                f"imputed: {listed(missing)}{other_case and f'; {other_case}'}"
            )
        sparse = tables[name].isna().mean(axis=1) > max_missing
        if sparse.any():
            tables[name] = tables[name][~sparse]
            notes.append(
                f"block {name}: {sparse.sum()} patients lack more than the share {max_missing:g} "
                f"of the bundle's genes and are answered without it: "
                f"{listed(list(sparse.index[sparse]))}"
            )
    return tables, [*notes, *_partly_measured(bundle, tables)]


def _partly_measured(bundle: Bundle, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Who is answered from some of the blocks that the bundle reads."""
    measured = {patient for table in tables.values() for patient in table.index}
    for name in _blocks(bundle):
        lacking = sorted(measured - set(tables[name].index if name in tables else ()))
        if lacking:
            yield (
                f"block {name}: {len(lacking)} patients with genomics lack it, and are answered "
                f"from the other blocks; thresholds and performance were measured on patients of "
                f"whom most have all: {listed(lacking)}"
            )


def _blocks(bundle: Bundle) -> list[str]:
    """The blocks of genes that the networks read, in the bundle's order."""
    read = {name for member in bundle.members for name in member.transforms.blocks}
    return [name for name in bundle.info.blocks if name in read]


def _genes(bundle: Bundle, block: str) -> set[str]:
    """Genes that any member reads."""
    return {gene for m in bundle.members for gene in m.transforms.blocks[block].genes_}


def _in_another_case(missing: Collection[str], table: pd.DataFrame) -> str:
    """What absent genes are called in a table, where case alone differs; else empty."""
    own = {str(name).lower(): name for name in table.columns}
    found = [f"{own[gene.lower()]} ({gene})" for gene in sorted(missing) if gene.lower() in own]
    if not found:
        return ""
    return f"{len(found)} are there in another case: {listed(found, 3)}; write them so"
