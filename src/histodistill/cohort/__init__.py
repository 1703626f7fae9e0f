"""The cohort: who the patients are, what is known of them, their slides, and their folds.

Everything that comes from a user's table or folder is read and checked here once; beyond this
room patients are plain strings, labels class numbers, slides paths and folds ``Fold`` objects.
"""

from histodistill.cohort.clinical import ClinicalTable, SurvivalColumns, Target, read_clinical
from histodistill.cohort.fold_files import FoldFiles, read_folds
from histodistill.cohort.folds import (
    Fold,
    check_folds,
    external_fold,
    fold_table,
    site_preserved_folds,
    stratified_folds,
)
from histodistill.cohort.slides import FEATURE_SUFFIXES, SlideIndex, find_slides
from histodistill.cohort.tables import TABLE_SUFFIXES, missing_columns, read_table

__all__ = [
    "FEATURE_SUFFIXES",
    "TABLE_SUFFIXES",
    "ClinicalTable",
    "Fold",
    "FoldFiles",
    "SlideIndex",
    "SurvivalColumns",
    "Target",
    "check_folds",
    "external_fold",
    "find_slides",
    "fold_table",
    "missing_columns",
    "read_clinical",
    "read_folds",
    "read_table",
    "site_preserved_folds",
    "stratified_folds",
]
