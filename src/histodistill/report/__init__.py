"""Report: tables, figures and one self-contained HTML page from predictions and plain data."""

from histodistill.report.leaderboard_page import write_leaderboard
from histodistill.report.page import Report, write_report
from histodistill.report.plots import (
    calibration_figure,
    precision_recall_figure,
    roc_figure,
    training_figure,
    write_figure,
)
from histodistill.report.tables import (
    Cell,
    Section,
    Table,
    headline_table,
    metrics_table,
    plain_table,
    to_latex,
    to_markdown,
    write_csv,
    write_table,
)

__all__ = [
    "Cell",
    "Report",
    "Section",
    "Table",
    "calibration_figure",
    "headline_table",
    "metrics_table",
    "plain_table",
    "precision_recall_figure",
    "roc_figure",
    "to_latex",
    "to_markdown",
    "training_figure",
    "write_csv",
    "write_figure",
    "write_leaderboard",
    "write_report",
    "write_table",
]
