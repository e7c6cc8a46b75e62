"""Answers and verdicts -> the score of each candidate with its interval, and its difference to the baseline on the same rows.

The score of a reply is TutorBench's, the weights of what it earns divided by all positive weights. It is at most 1, and below 0 where bans
are broken. Beside every score stand the criteria met, the length of the replies, and how many planted failures the judge catches, because
judges like long replies and no score is better than its judge.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lib.analyze.groups import by_part
from lib.analyze.tables import Tables
from lib.errors import counted
from lib.evaluate.bootstrap import Mean, mean_of
from lib.evaluate.estimate import Task
from lib.evaluate.questions import EvaluationFolder
from lib.evaluate.rows import SMOKE_TEST, Rows
from lib.evaluate.tables import BY_CRITERION, BY_ROW, catch_line, read_answers
from lib.llm.names import family
from lib.run.files import write_json
from lib.run.lock import holding

if TYPE_CHECKING:
    import pandas as pd

CONTROLLED_LENGTH = 0.25  # share by which replies may be longer than the baseline's before a sentence says so


@dataclass(frozen=True)
class Scores:
    """What the candidates reached. The first one is the baseline."""

    candidates: tuple[str, ...]
    rows_asked: Rows
    answers: "pd.DataFrame"
    criteria: "pd.DataFrame"
    catch_line: str
    random_seed: int

    @property
    def baseline(self) -> str:
        return self.candidates[0]

    def of(self, candidate: str) -> "pd.DataFrame":
        return self.answers[self.answers["candidate"] == candidate]

    def score(self, candidate: str) -> Mean | None:
        return self._mean(self.of(candidate), "score")

    def difference(self, candidate: str, **where: str) -> Mean | None:
        """Return the score minus the baseline's, over the rows that both have answered. None when there are none."""
        pairs = self.paired(candidate)
        for column, value in where.items():
            pairs = pairs[pairs[column] == value]
        return mean_of(pairs["difference"].tolist(), pairs["group"].tolist(), seed=self.random_seed)

    def paired(self, candidate: str) -> "pd.DataFrame":
        """Return a row for each row that the candidate and the baseline have both answered, with the difference of their scores."""
        both = self.of(candidate).merge(self.of(self.baseline)[["row_id", "score"]], on="row_id", suffixes=("", "_of_baseline"))
        return both.assign(difference=both["score"] - both["score_of_baseline"])

    def met(self, candidate: str) -> Mean | None:
        return self._mean(self.criteria[self.criteria["candidate"] == candidate], "met")

    def words(self, candidate: str) -> float | None:
        return float(self.of(candidate)["words"].mean()) if len(self.of(candidate)) else None

    def by(self, column: str) -> list[dict[str, Any]]:
        """Return the scores by a column of the rows, or the criteria met by one of the criteria, as rows of a table."""
        of_rows = column in BY_ROW
        table = self.answers if of_rows else by_part(self.criteria, column)
        found = []
        for value, group in table.groupby(column, sort=True):
            if not value:
                continue
            means = {name: self._mean(group[group["candidate"] == name], "score" if of_rows else "met") for name in self.candidates}
            rows = group["row_id"].nunique()
            found.append({column.replace("_", " "): str(value), "rows": rows} | {name: str(mean or "–") for name, mean in means.items()})
        return found

    @cached_property
    def sentences(self) -> list[str]:
        """What can be concluded of each candidate beside the baseline, and what can't."""
        return [self._sentence(candidate) for candidate in self.candidates[1:]]

    def _sentence(self, candidate: str) -> str:
        found = self.difference(candidate)
        if not found:
            return f"{candidate}: no row was answered by it and by {self.baseline}, so the two can't be compared."
        more = "more" if found.value >= 0 else "less"
        beside = f"{candidate} scores {100 * abs(found.value):.1f} points {more} than {self.baseline}{found.interval_in_points} "
        beside += f"on {counted(found.rows, 'row')} that both answered."
        if len(self.rows_asked) < SMOKE_TEST or found.low is None or found.high is None:
            return f"{beside} Of so few rows nothing follows."
        if found.low <= 0 <= found.high:
            return f"{beside} It may be no better and no worse: the interval holds 0, so nothing larger than its ends is to be expected."
        own, other = self.words(candidate) or 0.0, self.words(self.baseline) or 0.0
        is_longer = other and own > (1 + CONTROLLED_LENGTH) * other
        longer = f" Its replies are {own / other - 1:.0%} longer, which judges like." if is_longer else ""
        return f"{beside} By this judge and on rows like these it is {'better' if found.value > 0 else 'worse'}.{longer}"

    def __str__(self) -> str:
        return "\n".join([self.rows_asked.claim, *self.sentences, f"judge: {self.catch_line}"])

    def rows(self) -> list[dict[str, Any]]:
        """Return the candidates as rows of a table."""
        found = []
        for candidate in self.candidates:
            difference = self.difference(candidate) if candidate != self.baseline else None
            words = self.words(candidate)
            found.append(
                {
                    "candidate": candidate,
                    "rows": len(self.of(candidate)),
                    "score": str(self.score(candidate) or "–"),
                    "points beside the baseline": "baseline" if candidate == self.baseline else difference.in_points if difference else "–",
                    "criteria met": str(self.met(candidate) or "–"),
                    "words a reply": "–" if words is None else f"{words:.0f}",
                }
            )
        return found

    @property
    def further_tables(self) -> list[list[dict[str, Any]]]:
        """The scores by use case, subject and kind, and the criteria met by skill and dimension, where there are several of them."""
        return [rows for column in (*BY_ROW, *BY_CRITERION) if len(rows := self.by(column)) > 1]

    @property
    def remarks(self) -> list[str]:
        """What a reader of the scores must know."""
        judges = {name for names in self.answers["judge"].unique() for name in str(names).split(", ")}
        models = dict(zip(self.answers["candidate"], self.answers["model"], strict=True))
        own = [candidate for candidate, model in models.items() if {family(model), family(candidate)} & set(map(family, judges))]
        found = []
        if own:
            found.append(
                f"The judge is of the family of {', '.join(own)}: judges are lenient with their own kind. Set JUDGE_MODEL to another."
            )
        for candidate in self.candidates:
            if missing := len(self.rows_asked) - len(self.of(candidate)):
                found.append(f"{candidate} has no judged answer on {counted(missing, 'row')}, which count nowhere. See failures.jsonl.")
        return found

    def as_record(self) -> dict[str, Any]:
        """Return what `evaluation/scores.json` holds."""

        def record(mean: Mean | None) -> dict[str, Any] | None:
            return mean.as_record() if mean else None

        return {
            "claim": self.rows_asked.claim,
            "rows": len(self.rows_asked),
            "source": self.rows_asked.source,
            "set_aside": self.rows_asked.set_aside,
            "baseline": self.baseline,
            "judge": self.catch_line,
            "candidates": {
                name: {
                    "score": record(self.score(name)),
                    "difference": record(self.difference(name)) if name != self.baseline else None,
                    "criteria_met": record(self.met(name)),
                    "words": self.words(name),
                    "by": {
                        column: {str(value): record(self._mean(group, "score")) for value, group in self.of(name).groupby(column) if value}
                        for column in BY_ROW
                    },
                }
                for name in self.candidates
            },
            "conclusions": self.sentences,
            "remarks": self.remarks,
        }

    def _mean(self, table: "pd.DataFrame", column: str) -> Mean | None:
        """Return the mean of scores, or of criteria met, with an interval that ends where the values do."""
        found = mean_of(table[column].astype(float).tolist(), table["group"].tolist(), seed=self.random_seed)
        return found.within(-math.inf if column == "score" else 0.0, 1.0) if found else None


def write_scores(tables: Tables, task: Task) -> Scores:
    """Write `evaluation/scores.json` and return the scores. Raises RunError when nothing was answered yet."""
    folder, run = EvaluationFolder(tables.run), tables.run
    answers, criteria = read_answers(folder, rows=task.rows_asked, candidates=task.candidates)
    scores = Scores(
        candidates=task.candidates,
        rows_asked=task.rows_asked,
        answers=answers,
        criteria=criteria,
        catch_line=catch_line(tables, judges=set(answers["judge"])),
        random_seed=run.settings.random_seed,
    )
    return _written(folder, scores=scores)


@holding
def _written(folder: EvaluationFolder, *, scores: Scores) -> Scores:
    write_json(folder.evaluation_scores, scores.as_record())
    return scores
