"""What a run knows of its patients beside their answers, as plain tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pandas as pd


@dataclass(frozen=True)
class Evidence:
    """What a reviewer asks for; what is None is not known, and the page says so.

    Attributes:
        flow: Who was in and who was left out: columns ``target`` (empty for all targets), ``step``,
            ``patients``, ``reason`` (empty for those who are in).
        sites: Patients by ``target``, ``site`` and ``class``: column ``patients``.
        folds: Patients by ``target``, ``repeat``, ``fold``, ``part`` and class, with ``sites``.
        patients: A row a patient, indexed by patient: ``site``, ``age``, ``slides``, ``patches``,
            ``has``; columns may be lacking.
        groups: Columns by which subgroups and strata are formed, values by patient.
        asked: Those of them that the user named.
        clinical: Columns of the clinical model, by patient.
        features: Mean patch, patients x features.
        checks: The leakage audit: columns ``Check``, ``Found``, ``Where``.
        lacking: Why something is not known, in sentences.
    """

    flow: pd.DataFrame | None = None
    sites: pd.DataFrame | None = None
    folds: pd.DataFrame | None = None
    patients: pd.DataFrame | None = None
    groups: Mapping[str, pd.Series] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    clinical: pd.DataFrame | None = None
    features: pd.DataFrame | None = None
    checks: pd.DataFrame | None = None
    lacking: tuple[str, ...] = ()

    def of(self, groups: Mapping[str, pd.Series]) -> Evidence:
        """The same with other groups."""
        return replace(self, groups=groups)
