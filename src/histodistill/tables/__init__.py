"""Tables as users have them: one reader, one notion of a column, of a missing cell, of a number.

:func:`read_table` turns any file into cells of text; :func:`resolved_columns` finds the columns
that somebody named, in whatever case; :func:`without_missing_codes` and :func:`numbers` read the
cells as the sources write them, and tell what they made of them.
"""

from histodistill.tables.cells import (
    number,
    numbers,
    same_value,
    with_decimal_points,
    without_missing_codes,
)
from histodistill.tables.columns import (
    Column,
    is_resolution,
    missing_columns,
    resolved_columns,
)
from histodistill.tables.reading import TABLE_SUFFIXES, read_table

__all__ = [
    "TABLE_SUFFIXES",
    "Column",
    "is_resolution",
    "missing_columns",
    "number",
    "numbers",
    "read_table",
    "resolved_columns",
    "same_value",
    "with_decimal_points",
    "without_missing_codes",
]
