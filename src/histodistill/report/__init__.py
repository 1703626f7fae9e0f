"""Report: tables, figures and one self-contained HTML page from predictions and plain data."""

from histodistill.report.critical_difference import critical_difference_figure
from histodistill.report.forest import forest_figure
from histodistill.report.leaderboard_page import write_leaderboard
from histodistill.report.page import Report, write_report
from histodistill.report.paper_tables import (
    PaperTable,
    paper_latex,
    paper_markdown,
    paper_table,
    write_paper_table,
)
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
    write_table,
)

__all__ = [
    "Cell",
    "PaperTable",
    "Report",
    "Section",
    "Table",
    "calibration_figure",
    "critical_difference_figure",
    "forest_figure",
    "headline_table",
    "metrics_table",
    "paper_latex",
    "paper_markdown",
    "paper_table",
    "plain_table",
    "precision_recall_figure",
    "roc_figure",
    "to_latex",
    "to_markdown",
    "training_figure",
    "write_figure",
    "write_leaderboard",
    "write_paper_table",
    "write_report",
    "write_table",
]
