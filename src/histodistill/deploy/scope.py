"""``scope.safetensors`` of a bundle, and who lies outside it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd
from safetensors.torch import save_file

from histodistill.barcodes import site_of
from histodistill.deploy.info import BundleInfo
from histodistill.errors import listed
from histodistill.features import BagStore
from histodistill.gate.records import damaged_record
from histodistill.gate.tensors import read_safetensors
from histodistill.inference.scope import Scope

SCOPE = "scope.safetensors"
IN, OUT = "in scope", "out of scope"
# Of a tissue source site of TCGA.
_CODE_LENGTH = 2


def save_scope(scope: Scope, folder: Path) -> None:
    """Write ``scope.safetensors`` into a bundle's folder."""
    save_file(scope.to_tensors(), folder / SCOPE)


def read_scope(folder: Path, width: int | None, remedy: str) -> Scope | None:
    """Read ``scope.safetensors``; None where a bundle has none.

    Args:
        folder: The bundle's.
        width: Size of the patch features that it reads.
        remedy: What to do where it is damaged.

    Raises:
        InputError: It is damaged, or of other features.
    """
    path = folder / SCOPE
    if not path.exists():
        return None
    try:
        tensors = read_safetensors(path)
        if not all(bool(values.isfinite().all()) for values in tensors.values()):
            raise ValueError("NaN or infinite values")
        scope = Scope.from_tensors(tensors)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise damaged_record(path, f"{type(error).__name__}: {error}", remedy) from error
    if scope.width != width:
        raise damaged_record(path, f"features {scope.width} wide, not {width}", remedy)
    return scope


def slides_out_of_scope(
    scope: Scope | None, bags: BagStore | None, patients: Collection[str]
) -> dict[str, str]:
    """Which of some patients have slides that do not look like those of training, and why."""
    if scope is None or bags is None:
        return {}
    wanted = set(patients).intersection(bags.patients)
    reasons = {
        patient: scope.reason(bags.bag(patient).double().cpu().numpy())
        for patient in sorted(wanted)
    }
    told = {patient: why for patient, why in reasons.items() if why}
    return {patient: f"slides unlike those of training: {why}" for patient, why in told.items()}


def unknown_hospitals(
    info: BundleInfo, patients: Sequence[str], site: str | None, calibrated: Sequence[str]
) -> dict[str, str]:
    """Patients of a hospital that the model has never seen, and why.

    Args:
        info: What the bundle says of its training.
        patients: Who is asked for.
        site: The hospital of all of them, where the user names it; else TCGA barcodes tell.
        calibrated: Hospitals that the bundle was calibrated for since.
    """
    known = {*info.provenance.get("sites", {}), *calibrated} - {"unknown"}
    if not known:
        return {}
    told = {patient: site or _barcode_site(patient, known) for patient in patients}
    return {
        patient: f"hospital {own} was never seen in training, nor calibrated for"
        for patient, own in told.items()
        if own is not None and own not in known
    }


def _barcode_site(patient: str, known: set[str]) -> str | None:
    """The tissue source site of a barcode, where training named its hospitals by such codes."""
    if any(len(name) != _CODE_LENGTH for name in known):
        return None
    return site_of(patient)


def scope_columns(
    table: pd.DataFrame, scope: Scope | None, bags: BagStore | None, out: Mapping[str, str]
) -> pd.DataFrame:
    """The columns ``scope`` and ``scope_why``; empty where nothing could be judged."""
    judged = set(bags.patients) if scope is not None and bags is not None else set()
    patients = [str(patient) for patient in table["PATIENT"]]
    verdicts = [OUT if p in out else IN if p in judged else "" for p in patients]
    reasons = [out.get(p, "") for p in patients]
    return pd.DataFrame({"scope": verdicts, "scope_why": reasons}, index=table.index)


def scope_notes(out: Mapping[str, str]) -> list[str]:
    """Who is out of scope, in a sentence."""
    if not out:
        return []
    first = next(iter(out.values()))
    return [
        f"{len(out)} patients are out of scope and are never released by triage; see scope_why "
        f"({first}): {listed(list(out))}"
    ]
