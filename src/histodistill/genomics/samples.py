"""From sample identifiers to patients: TCGA barcodes, or the user's regular expression."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from histodistill.barcodes import (
    PRIMARY_TUMOUR,
    find_barcode,
    left_out_types,
    patient_of,
    unwanted_sample_type,
)
from histodistill.errors import InputError, listed


@dataclass(frozen=True)
class ResolvedSamples:
    """One sample for each patient.

    Attributes:
        rows: Positions of the samples that stay, in the order of the file.
        patients: Their patients, in the same order, each once.
        notes: How many samples were left out and by which rule.
        by_pattern: Whether a sample was left to the user's pattern, having no TCGA barcode.
    """

    rows: list[int]
    patients: list[str]
    notes: tuple[str, ...]
    by_pattern: bool


def resolve_samples(
    samples: Sequence[str],
    *,
    patients: Sequence[str] | None,
    pattern: str | None,
    sample_types: Collection[str] = (PRIMARY_TUMOUR,),
    source: str,
) -> ResolvedSamples:
    """Choose one sample for each patient.

    The rules, in order: of samples with a TCGA barcode only those of ``sample_types`` stay. Other
    identifiers go through ``pattern``, whose first group (or whole match) is the patient; samples
    that it does not match are left out. Without a pattern an identifier is the patient. Where a
    patient has several samples, the identifier that is first in alphabetical order stays (for
    TCGA: the lowest vial, then portion, then plate); among equal ones the first in the file.

    Args:
        samples: Sample identifiers.
        patients: The samples' patients where the file says so; else they are read from ``samples``.
        pattern: The user's regular expression for identifiers that are not TCGA barcodes.
        sample_types: TCGA sample types that are wanted; by default the primary tumour.
        source: The file's name, for messages.

    Raises:
        InputError: The pattern is not a regular expression or matches nothing, or no sample is
            left.
    """
    expression = _compiled(pattern, source)
    if expression is not None and not any(map(expression.search, samples)):
        raise InputError(
            f"{source}: the sample pattern {pattern!r} matches no sample; samples are named "
            f"such as {listed(list(samples), 3)}."
        )
    other_types: list[str] = []
    unmatched: list[str] = []
    candidates: dict[str, list[int]] = {}
    for row, sample in enumerate(samples):
        name = sample if find_barcode(sample) else _matched(sample, expression)
        kind = unwanted_sample_type(name, sample_types) if name else None
        if not name:
            unmatched.append(sample)
        elif kind is not None:
            other_types.append(kind)
        else:
            patient = (patient_of(name) or name) if patients is None else patients[row]
            candidates.setdefault(patient, []).append(row)
    notes = [*_left_out(other_types, sample_types, unmatched), *_duplicates(candidates, samples)]
    if not candidates:
        raise InputError(f"{source}: no sample is left. {' '.join(notes)}".strip())
    chosen = {min(rows, key=lambda row: samples[row]): who for who, rows in candidates.items()}
    rows = sorted(chosen)
    by_pattern = not all(map(find_barcode, samples))
    return ResolvedSamples(rows, [chosen[row] for row in rows], tuple(notes), by_pattern)


def _compiled(pattern: str | None, source: str) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"{source}: the sample pattern {pattern!r} is not a regular expression ({error})."
        ) from error


def _matched(sample: str, expression: re.Pattern[str] | None) -> str | None:
    """What the user's pattern takes from an identifier; all of it without a pattern."""
    if expression is None:
        return sample
    match = expression.search(sample)
    if match is None:
        return None
    return match.group(1) if expression.groups else match.group()


def _left_out(
    other_types: list[str], wanted: Collection[str], unmatched: list[str]
) -> Iterator[str]:
    if other_types:
        yield (
            f"{len(other_types)} samples of other sample types than {listed(sorted(wanted))} were "
            f"left out (by TCGA sample type {left_out_types(other_types)})."
        )
    if unmatched:
        yield (
            f"{len(unmatched)} samples that the sample pattern does not match were left out: "
            f"{listed(unmatched, 5)}."
        )


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
