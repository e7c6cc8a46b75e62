"""Tables -> rates with their intervals, by any of the columns that samples, verdicts or planted failures can be grouped by."""

from typing import TYPE_CHECKING

from lib.analyze.rates import wilson_interval
from lib.analyze.tables import Tables
from lib.errors import KitError
from lib.taxonomy import CONTROL_KINDS

if TYPE_CHECKING:
    import pandas as pd

# Of each table, the names of total, hits and rate. Hits is a column that is true or false.
RATES = {
    "samples": ("made", "kept", "keep_rate"),
    "verdicts": ("judged", "met", "pass_rate"),
    "planted": ("planted", "caught", "catch_rate"),
}
BY = {  # the columns of each table by which there are rates
    "samples": ("subject", "area", "topic", "level", "misconception_type", "origin", "quality_score"),
    "verdicts": ("severity", "tutoring_skill", "eval_dimension"),
    "planted": ("spoiling",),
}


def rates(tables: Tables, *by: str) -> "pd.DataFrame":
    """Return total, hits, rate, low and high for each value of the columns `by`, of samples, verdicts or planted failures.

    Controls, in which the student is not wrong, count only where samples are grouped by their origin. A comma-joined value counts for
    each of its parts.
    """
    name = next((name for name in RATES if set(by) <= set(BY[name])), "")
    if not name:
        known = "; ".join(f"of {table}: {', '.join(columns)}" for table, columns in BY.items())
        raise KitError(f"There are no rates by {' and '.join(by)}. There are rates {known}.")
    table: pd.DataFrame = getattr(tables, name)
    if name == "samples" and "origin" not in by:
        table = table[~table["misconception_type"].isin(CONTROL_KINDS)]
    if name == "verdicts" and len(table):
        table = table.assign(**{by[0]: table[by[0]].str.split(r",\s*")}).explode(by[0])
    return rate_table(table, list(by), names=RATES[name])


def rate_table(table: "pd.DataFrame", by: list[str], *, names: tuple[str, str, str]) -> "pd.DataFrame":
    """Return the rate for each value of the columns `by`. The `names` are those of total, hits and rate, and hits is a column."""
    import pandas as pd

    rows = []
    for key, group in table.groupby(by, sort=True):
        hits, total = int(group[names[1]].astype(bool).sum()), len(group)
        rows.append((*key, total, hits, hits / total, *wilson_interval(hits, total)))
    return pd.DataFrame(rows, columns=[*by, *names, "low", "high"])


def worst_first(tables: Tables, by: str) -> "pd.DataFrame":
    """Return the pass rates of criteria by one of their attributes, the lowest first."""
    return rates(tables, by).sort_values("pass_rate")
