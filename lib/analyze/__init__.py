"""Notebook 03: a filtered run's tables -> rates, figures, and how far the judge can be trusted."""

from lib.analyze.compare import compare_runs
from lib.analyze.conclusions import conclusions
from lib.analyze.costs import costs
from lib.analyze.figures import plot_rates, plot_scores
from lib.analyze.overview import plot_overview
from lib.analyze.rubrics import rubrics
from lib.analyze.statistics import write_statistics
from lib.analyze.tables import read_tables
from lib.analyze.trust import trust
from lib.analyze.variety import variety_table

__all__ = [
    "compare_runs",
    "conclusions",
    "costs",
    "plot_overview",
    "plot_rates",
    "plot_scores",
    "read_tables",
    "rubrics",
    "trust",
    "variety_table",
    "write_statistics",
]
