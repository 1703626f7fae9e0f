"""Names of genes as files write them, made one; and names that the user gave and no table has."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Sequence

from histodistill.errors import listed

_NO_SYMBOL = frozenset({"", "na", "nan", "n/a", "none", "null", "?"})
_ENSEMBL = re.compile(r"(ENS[A-Z]*G\d{11})\.\d+")
# English and German, as the spreadsheets of either write the dates.
_MONTH = r"(?:jan|feb|mar|mrz|mär|apr|may|mai|jun|jul|aug|sept?|oct|okt|nov|dec|dez)"
_DATE = re.compile(
    rf"\d{{1,2}}(?:[-/ ]|\. ?){_MONTH}(?:[-/ .]\d{{2,4}})?|{_MONTH}(?:[-/ ]|\. ?)\d{{1,4}}"
    r"|\d{4}-\d{2}-\d{2}(?:[ T].*)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}",
    re.IGNORECASE,
)
# Days of spreadsheets from 2000 to 2050.
_DAYS = range(36526, 54789)


def normalised(name: str) -> str:
    """The symbol or identifier in a name: ``ESR1`` of ``ESR1|2099``, Ensembl ids unversioned.

    Returns:
        The name, empty where there is none (``NA``, ``?|8225``).
    """
    parts = [part.strip() for part in name.split("|")]
    named = [part for part in parts if part.lower() not in _NO_SYMBOL and not part.isdigit()]
    symbols = [part for part in named if not _ENSEMBL.fullmatch(part)]
    chosen = (symbols or named or ["" if len(parts) > 1 else name.strip()])[0]
    return "" if chosen.lower() in _NO_SYMBOL else _ENSEMBL.sub(r"\1", chosen)


def is_date(name: str) -> bool:
    """Whether a name is a date, as spreadsheets make of symbols such as MARCH1 and SEPT2."""
    return _DATE.fullmatch(name) is not None


def dates_among(names: Sequence[str]) -> set[str]:
    """Names that a spreadsheet made of symbols: dates, or the days since 1900 that it counts.

    A number of that size is an Entrez id as well, where most genes are named by one.
    """
    numbers = {name for name in names if name.isdecimal()}
    days = {name for name in numbers if len(name) == 5 and int(name) in _DAYS}
    return {name for name in names if is_date(name)} | (
        days if 2 * len(numbers) < len(names) else set()
    )


def date_notes(names: Sequence[str]) -> Iterator[str]:
    """Genes that a spreadsheet has renamed, and what to do."""
    found = dates_among(names)
    dates = [name for name in dict.fromkeys(names) if name in found]
    if dates:
        yield (
            f"{len(dates)} genes are named by dates and were left out: {listed(dates, 5)}; a "
            "spreadsheet has changed symbols such as MARCH1 or SEPT2, two genes may have become "
            "one date. Take the table from before it passed through the spreadsheet, or write the "
            "symbols of today (MARCHF1, SEPTIN2)."
        )


def shortened_notes(written: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """How many names were brought to the symbol or identifier in them."""
    pairs = [(old, new) for old, new in zip(written, names, strict=True) if new not in ("", old)]
    if pairs:
        old, new = pairs[0]
        yield f"{len(pairs)} gene names were shortened, such as {old} to {new}."


def number_problem(names: Sequence[str]) -> str | None:
    """Why names that only count the genes cannot be used; None where they name them."""
    if len(names) < 2 or not all(name.isdecimal() for name in names):
        return None
    numbers = [int(name) for name in names]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    return (
        f"genes are numbered ({names[0]} to {names[-1]}) and not named, so that no other table "
        "could be matched to them; write their symbols (in AnnData: adata.var_names = "
        "adata.var[<the column of symbols>])"
    )


def absent_names(wanted: Sequence[str], present: Collection[str]) -> Iterator[str]:
    """One sentence for each name that the user gave and a table lacks, with what it may mean."""
    by_case = {name.lower(): name for name in present}
    known = set(present)
    ensembl = any(re.match(r"ENS[A-Z]*G\d{11}", name) for name in present)
    for name in dict.fromkeys(map(normalised, wanted)):
        if name in known:
            continue
        other_case = by_case.get(name.lower())
        near = difflib.get_close_matches(name, present, n=1, cutoff=0.75)
        if other_case:
            yield f"{name} is not in the table, which has {other_case}; write it as the table does"
        elif ensembl and not name.startswith("ENS"):
            yield (
                f"{name} is not in the table, which has Ensembl ids; write its id, or put a "
                "*.probemap beside the file"
            )
        elif near:
            yield f"{name} is not in the table; take it off the list, or did you mean {near[0]}?"
        else:
            yield f"{name} is not in the table; take it off the list"
