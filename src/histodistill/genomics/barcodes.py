"""From sample identifiers to patients: TCGA barcodes, or the user's regular expression."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from histodistill.errors import InputError, listed

PRIMARY_TUMOUR = "01"

# Project, source site, participant; then optionally sample type + vial, portion + analyte, plate,
# centre. R writes the hyphens as dots when it makes column names "valid".
_BARCODE = re.compile(
    r"(TCGA)[-.]([A-Z0-9]{2})[-.]([A-Z0-9]{4})(?:[-.](\d{2})[A-Z]?(?:[-.].*)?)?", re.IGNORECASE
)


class Barcode(NamedTuple):
    """The parts of a TCGA barcode that decide whose sample it is and of what kind."""

    patient: str
    sample_type: str | None


@dataclass(frozen=True)
class ResolvedSamples:
    """One sample for each patient.

    Attributes:
        rows: Positions of the samples that stay, in the order of the file.
        patients: Their patients, in the same order, each once.
        notes: How many samples were left out and by which rule.
    """

    rows: list[int]
    patients: list[str]
    notes: tuple[str, ...]


def parse_barcode(identifier: str) -> Barcode | None:
    """Read a TCGA barcode of any length; None where the identifier is not one.

    ``TCGA-A1-A0SB-01A-11R-A144-07`` is patient ``TCGA-A1-A0SB``, sample type ``01``; a patient's
    bare barcode has no sample type.
    """
    match = _BARCODE.fullmatch(identifier)
    if match is None:
        return None
    return Barcode("-".join(match.group(1, 2, 3)).upper(), match.group(4))


def resolve_samples(
    samples: Sequence[str],
    *,
    patients: Sequence[str] | None,
    pattern: str | None,
    source: str,
) -> ResolvedSamples:
    """Choose one sample for each patient.

    The rules, in order: of samples with a TCGA barcode only primary tumours (type 01) stay. Other
    identifiers go through ``pattern``, whose first group (or whole match) is the patient; samples
    that it does not match are left out. Without a pattern an identifier is the patient. Where a
    patient has several samples, the identifier that is first in alphabetical order stays (for
    TCGA: the lowest vial, then portion, then plate); among equal ones the first in the file.

    Args:
        samples: Sample identifiers.
        patients: The samples' patients where the file says so; else they are read from ``samples``.
        pattern: The user's regular expression for identifiers that are not TCGA barcodes.
        source: The file's name, for messages.

    Raises:
        InputError: The pattern is not a regular expression, or no sample is left.
    """
    expression = _compiled(pattern, source)
    non_primary: Counter[str] = Counter()
    unmatched: list[str] = []
    candidates: dict[str, list[int]] = {}
    for row, sample in enumerate(samples):
        barcode = _identify(sample, expression)
        if barcode is None:
            unmatched.append(sample)
        elif barcode.sample_type not in (None, PRIMARY_TUMOUR):
            non_primary[str(barcode.sample_type)] += 1
        else:
            patient = barcode.patient if patients is None else patients[row]
            candidates.setdefault(patient, []).append(row)
    notes = [*_left_out(non_primary, unmatched), *_duplicates(candidates, samples)]
    if not candidates:
        raise InputError(
            f"{source}: no sample of a primary tumour is left. {' '.join(notes)}".strip()
        )
    chosen = {min(rows, key=lambda row: samples[row]): who for who, rows in candidates.items()}
    rows = sorted(chosen)
    return ResolvedSamples(rows, [chosen[row] for row in rows], tuple(notes))


def _compiled(pattern: str | None, source: str) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"{source}: the sample pattern {pattern!r} is not a regular expression ({error})."
        ) from error


def _identify(sample: str, expression: re.Pattern[str] | None) -> Barcode | None:
    barcode = parse_barcode(sample)
    if barcode is not None or expression is None:
        return barcode or Barcode(sample, None)
    match = expression.search(sample)
    if match is None:
        return None
    name = match.group(1) if expression.groups else match.group()
    return None if not name else parse_barcode(name) or Barcode(name, None)


def _left_out(non_primary: Counter[str], unmatched: list[str]) -> list[str]:
    notes = []
    if non_primary:
        kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(non_primary.items()))
        notes.append(
            f"{non_primary.total()} samples that are not primary tumours were left out "
            f"(by TCGA sample type {kinds})."
        )
    if unmatched:
        notes.append(
            f"{len(unmatched)} samples that the sample pattern does not match were left out: "
            f"{listed(unmatched, 5)}."
        )
    return notes


def _duplicates(candidates: dict[str, list[int]], samples: Sequence[str]) -> list[str]:
    several = [patient for patient, rows in candidates.items() if len(rows) > 1]
    if not several:
        return []
    left_out = sum(len(candidates[patient]) - 1 for patient in several)
    note = (
        f"{len(several)} patients have more than one sample; the identifier first in alphabetical "
        f"order was kept and {left_out} others left out: {listed(several, 5)}."
    )
    same = [who for who in several if len({samples[row] for row in candidates[who]}) == 1]
    if not same:
        return [note]
    return [
        note,
        f"Of these, the same identifier is repeated for {listed(same, 5)}; the first kept.",
    ]
