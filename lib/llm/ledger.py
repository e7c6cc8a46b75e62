"""A journal -> what was spent, by stage and model, what a reply of each stage took, and what need not be asked again."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lib.llm.call import Usage
from lib.llm.journal import USABLE
from lib.llm.journal_file import JournalError, require_types

T = TypeVar("T")

LEDGER = """
SELECT stage, model, COUNT(*), SUM(input), SUM(output), SUM(cache_read), SUM(cache_write), SUM(cost_usd)
FROM reply GROUP BY stage, model ORDER BY stage, model
"""


# The seconds of a batch's reply are not known, and stand as 0.
MEANS = """
SELECT stage, model_asked, AVG(output), COALESCE(AVG(NULLIF(seconds, 0)), 0) FROM reply GROUP BY stage, model_asked
"""
ANSWERED = f"""
SELECT stage, model_asked, slot, MAX(outcome = 'refusal'), COUNT(DISTINCT vote) FROM reply
WHERE outcome IN ({", ".join(f"'{outcome}'" for outcome in USABLE)}) GROUP BY stage, model_asked, slot
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """One line of the ledger."""

    stage: str
    model: str
    calls: int
    usage: Usage
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Mean:
    """What one reply of a stage took so far."""

    output_tokens: float
    seconds: float  # of a live call, from sending to the last byte; 0 when all replies came in batches


@dataclass(frozen=True, slots=True)
class Answered:
    """What a model has answered in a stage, so that it need not be asked again."""

    votes: dict[str, int]  # by the name under which it was asked
    refused: set[str]  # those names among them for which it refused to answer


def ledger(path: Path) -> list[Spent]:
    """Return what was spent, by stage and by model as the provider named it. It is empty when there is no journal. Raises JournalError."""

    def read(connection: sqlite3.Connection) -> list[Spent]:
        rows = connection.execute(LEDGER)
        return [Spent(stage, model, calls, Usage(*tokens), cost) for stage, model, calls, *tokens, cost in rows]

    return _read(path, read, empty=[])


def means(path: Path) -> dict[tuple[str, str], Mean]:
    """Return the means of each stage and model that was asked. It is empty when there is no journal. Raises JournalError."""

    def read(connection: sqlite3.Connection) -> dict[tuple[str, str], Mean]:
        return {(stage, model): Mean(*mean) for stage, model, *mean in connection.execute(MEANS)}

    return _read(path, read, empty={})


def answered(path: Path) -> dict[tuple[str, str], Answered]:
    """Return what was answered, by stage and model that was asked. It is empty when there is no journal. Raises JournalError."""

    def read(connection: sqlite3.Connection) -> dict[tuple[str, str], Answered]:
        found: dict[tuple[str, str], Answered] = {}
        for stage, model, name, was_refused, votes in connection.execute(ANSWERED):
            of_stage = found.setdefault((stage, model), Answered({}, set()))
            of_stage.votes[name] = votes
            if was_refused:
                of_stage.refused.add(name)
        return found

    return _read(path, read, empty={})


def _read(path: Path, read: Callable[[sqlite3.Connection], T], *, empty: T) -> T:
    if not path.exists():
        return empty
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            found = read(connection)
            require_types(connection, path)
            return found
    except sqlite3.Error as error:
        if "no such table" in str(error):  # made, but nothing was ever stored
            return empty
        raise JournalError(f"{path}: can't be read ({error}). Run 01_generate again: it mends a damaged journal.") from None
