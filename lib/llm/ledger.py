"""A journal -> what was spent, by stage and model."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lib.llm.call import Usage
from lib.llm.journal_file import JournalError, require_types

LEDGER = """
SELECT stage, model, COUNT(*), SUM(input), SUM(output), SUM(cache_read), SUM(cache_write), SUM(cost_usd), SUM(seconds)
FROM reply GROUP BY stage, model ORDER BY stage, model
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """One line of the ledger."""

    stage: str
    model: str
    calls: int
    usage: Usage
    cost_usd: float
    seconds: float  # that the calls took, one after another


def ledger(path: Path) -> list[Spent]:
    """Return what was spent, by stage and by model as the provider named it. It is empty when there is no journal. Raises JournalError."""
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            rows = connection.execute(LEDGER)
            lines = [Spent(stage, model, calls, Usage(*tokens), cost, took) for stage, model, calls, *tokens, cost, took in rows]
            require_types(connection, path)
            return lines
    except sqlite3.Error as error:
        if "no such table" in str(error):  # made, but nothing was ever stored
            return []
        raise JournalError(f"{path}: can't be read ({error}). Run 01_generate again: it mends a damaged journal.") from None
