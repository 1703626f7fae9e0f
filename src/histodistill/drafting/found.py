"""All that was found in a user's files."""

from __future__ import annotations

from dataclasses import dataclass

from histodistill.drafting.clinical import Clinical
from histodistill.drafting.genomics import Block
from histodistill.drafting.slides import Slides


@dataclass(frozen=True, eq=False)
class Found:
    """All that was found in the files."""

    clinical: Clinical
    slides: Slides | None
    blocks: tuple[Block, ...]

    @property
    def with_slides(self) -> frozenset[str]:
        """Known patients with a slide."""
        return self.slides.patients if self.slides else frozenset()

    @property
    def with_genes(self) -> frozenset[str]:
        """Known patients with genomics."""
        return frozenset[str]().union(*(block.patients for block in self.blocks))

    def counts(self, target: str, patients: frozenset[str] | None = None) -> dict[str, int]:
        """Patients by class, of those who have slides or genomics (or of ``patients``)."""
        labels = self.clinical.values.labels[target].dropna()
        who = (self.with_slides | self.with_genes) if patients is None else patients
        known = labels[labels.index.isin(who)]
        found = {f.target.name: f.target for f in self.clinical.targets}[target]
        return {name: int((known == place).sum()) for place, name in enumerate(found.classes)}
