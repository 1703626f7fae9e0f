"""What an experiment reads: patients, slide features, genomics and labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, field_validator, model_validator

from histodistill.barcodes import PRIMARY_TUMOUR
from histodistill.cohort import SurvivalColumns
from histodistill.errors import listed
from histodistill.features.layouts.registry import AUTO, checked_layout
from histodistill.genomics.selection import SelectionSettings
from histodistill.settings import Settings


class CohortSettings(Settings):
    """Patients and their slides.

    Attributes:
        clinical: Clinical table (CSV, TSV, Excel or Parquet), a row a patient.
        patient_column: Column with the patient, in the clinical and the slide table.
        site_column: Column with the hospital; by default the TCGA barcode is read.
        survival: Follow-up columns, needed only to select genes by Cox p-value.
        slides: Slide table; without one the patient is read from the file name.
        filename_column: Column of the slide table with the feature file.
        patient_pattern: Regular expression that finds the patient in a file name.
        sample_types: TCGA sample types that are read, of slides and of genomic samples alike:
            ``01`` is the primary tumour, ``06`` a metastasis, ``11`` normal tissue.
        missing_slides: What happens to files of the slide table that are absent: ``refuse`` tells
            them as problems, ``leave out`` as a note.
    """

    clinical: Path
    patient_column: str = "PATIENT"
    site_column: str | None = None
    survival: SurvivalColumns | None = None
    slides: Path | None = None
    filename_column: str = "FILENAME"
    patient_pattern: str | None = None
    sample_types: tuple[str, ...] = (PRIMARY_TUMOUR,)
    missing_slides: Literal["refuse", "leave out"] = "refuse"

    @field_validator("sample_types")
    @classmethod
    def _are_of_barcodes(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        strange = [kind for kind in types if re.fullmatch(r"[0-9]{2}", kind) is None]
        if strange or not types:
            raise ValueError(
                f"{listed(strange) or 'an empty list'} names no sample type; write two digits of "
                "the TCGA barcode in quotes, such as '01' (primary tumour) or '06' (metastasis)"
            )
        return types

    @model_validator(mode="after")
    def _of_the_slide_table(self) -> CohortSettings:
        if self.slides is None:
            unused = {"filename_column", "missing_slides"} & self.model_fields_set
            if unused:
                names = " and ".join(f"`{name}`" for name in sorted(unused))
                raise ValueError(
                    f"{names} speaks of the slide table; give `slides`, or leave it out"
                )
        elif self.patient_pattern is not None:
            raise ValueError("give a slide table in `slides` or a `patient_pattern`, not both")
        return self


class FeatureSettings(Settings):
    """Patch features.

    Attributes:
        directory: Folder of feature files, one a slide.
        layout: Layout of the files: ``auto`` recognises each by its content; else ``trident``,
            ``clam``, ``stamp``, ``slide2vec``, ``pytorch``, ``numpy``, that of an installed
            package, or an import path such as ``my_package.layouts:Mine``.
        standardise: Standardise every feature with the training patients' mean and sd.
        memory_gb: Bags stay in memory when the cohort needs no more than this; those of larger
            cohorts are read batch by batch.
        dtype: Type of the patches; None takes the narrowest that holds those of every file.
        cache: Folder where bags are packed on first use: ``auto`` is the user's cache folder,
            None reads the feature files each time. No result depends on it.
    """

    directory: Path
    layout: Annotated[str, AfterValidator(checked_layout)] = AUTO
    standardise: bool = False
    memory_gb: PositiveFloat = 8.0
    dtype: Literal["float16", "bfloat16", "float32"] | None = None
    cache: str | None = Field(default="auto", min_length=1, exclude=True)


class BlockSettings(Settings):
    """One block of genomic measurements, such as mRNA or copy number.

    Attributes:
        file: The matrix, or the folder of a GDC download.
        format: Its layout; ``auto`` recognises it by content.
        transform: Applied to every value: ``log2p1`` is log2(x + 1).
        gdc_column: Column of GDC STAR-counts files.
        patient_column: Column with the patient in a patients x genes table.
        sample_pattern: Regular expression that finds the patient in a sample name.
        selection: Which genes.
        impute: Value of a gene that a patient lacks, over the training patients.
        scale: ``standard`` to mean 0 and sd 1 over the training patients, or ``none``.
        clip: Scaled values are cut to this many standard deviations.
        check_scale: Whether values that are on the wrong scale (raw counts without logarithms,
            logarithms taken twice, patients on two scales) are refused; else they are told.
    """

    file: Path
    format: Literal["auto", "cbioportal", "xena", "gdc", "gct", "plain", "h5ad"] = "auto"
    transform: Literal["none", "log2p1"] = "none"
    gdc_column: str = "tpm_unstranded"
    patient_column: str = "PATIENT"
    sample_pattern: str | None = None
    selection: SelectionSettings = SelectionSettings()
    impute: Literal["median", "mean", "zero"] = "median"
    scale: Literal["standard", "none"] = "standard"
    clip: PositiveFloat | None = None
    check_scale: bool = True
