"""Tables -> rates with their intervals, by any of the columns that samples, verdicts or planted failures can be grouped by."""

import re
from typing import TYPE_CHECKING

from lib.analyze.rates import Share, wilson_interval
from lib.analyze.tables import TOPPED_UP, Tables, rows_where
from lib.errors import KitError
from lib.taxonomy import CONTROL_KINDS

if TYPE_CHECKING:
    import pandas as pd

COMMA = re.compile(r",\s*")
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

    They are of the rows that `counted_rows` returns. A comma-joined value counts for each of its parts.
    """
    name = rates_of(*by)
    table = counted_rows(tables, *by)[[*by, RATES[name][1]]]
    return rate_table(by_part(table, by[0]) if name == "verdicts" else table, list(by), names=RATES[name])


def rates_of(*by: str) -> str:
    """Return which of the tables has rates by these columns. Raises KitError when none has."""
    if name := next((name for name in RATES if set(by) <= set(BY[name])), ""):
        return name
    known = "; ".join(f"of {table}: {', '.join(columns)}" for table, columns in BY.items())
    raise KitError(f"There are no rates by {' and '.join(by)}. There are rates {known}.")


def counted_rows(tables: Tables, *by: str) -> "pd.DataFrame":
    """Return the rows that count in rates by these columns.

    Planted failures are those whose original the judge passes (see `catches`).

    Samples and verdicts are those of the first pass, without controls, in which the student is not wrong. Only rates by origin count
    what topping up made, and controls. Verdicts on controls count.
    """
    name = rates_of(*by)
    if name == "samples":
        first = tables.first_pass
        return tables.samples if "origin" in by else rows_where(first, ~first["misconception_type"].isin(CONTROL_KINDS))
    if name == "verdicts":
        later = tables.samples.loc[tables.samples["origin"].isin(TOPPED_UP), "id"]
        return rows_where(tables.verdicts, ~tables.verdicts["id"].isin(later))
    return tables.planted[tables.planted["original_passes"].isin([True])]


def shares(tables: Tables, by: str) -> dict[str, Share]:
    """Return the rate for each value of one column as hits of total."""
    table, (total, hits, _) = rates(tables, by), RATES[rates_of(by)]
    return {str(row[by]): Share(int(row[hits]), int(row[total])) for row in table.to_dict("records")}


def by_part(table: "pd.DataFrame", column: str) -> "pd.DataFrame":
    """Return the table with a row for each part of a comma-joined value of the column."""
    parts = {value: COMMA.split(value) for value in table[column].unique()}
    return table.assign(**{column: table[column].map(parts)}).explode(column) if any("," in value for value in parts) else table


def rate_table(table: "pd.DataFrame", by: list[str], *, names: tuple[str, str, str]) -> "pd.DataFrame":
    """Return the rate for each value of the columns `by`. The `names` are those of total, hits and rate, and hits is a column."""
    import pandas as pd

    rows = []
    for key, group in table.groupby(by, sort=True)[names[1]]:
        hits, total = int(group.astype(bool).sum()), len(group)
        rows.append((*key, total, hits, hits / total, *wilson_interval(hits, total)))
    return pd.DataFrame(rows, columns=[*by, *names, "low", "high"])


def worst_first(tables: Tables, by: str) -> "pd.DataFrame":
    """Return the pass rates of criteria by one of their attributes, the lowest first."""
    return rates(tables, by).sort_values("pass_rate")
