"""The answers of an evaluation -> a row an answer, a row a criterion of it, and what is known of their judge."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from lib.analyze.tables import Tables
from lib.evaluate.rows import Rows
from lib.filter.scores import weighted_score
from lib.run.files import read_jsonl
from lib.run.run import Run
from lib.schema import CandidateAnswer, EvaluationRow

if TYPE_CHECKING:
    import pandas as pd

BY_ROW = ("use_case", "subject", "misconception_type")  # columns of a row by which scores are shown
BY_CRITERION = ("tutoring_skill", "eval_dimension")
ANSWER_COLUMNS = ["candidate", "row_id", "group", *BY_ROW, "score", "words", "met", "criteria", "model", "judge"]
CRITERION_COLUMNS = ["candidate", "row_id", "group", *BY_CRITERION, "met"]


def read_answers(folder: Run, *, rows: Rows, candidates: Collection[str]) -> "tuple[pd.DataFrame, pd.DataFrame]":
    """Return both tables for the answers of these candidates to these rows. Raises RunError when nothing was answered yet."""
    import pandas as pd

    answers, criteria = list[dict[str, Any]](), list[dict[str, Any]]()
    for one in read_jsonl(folder.evaluation_answers, CandidateAnswer, made_by="05_evaluate"):
        if one.candidate in candidates and one.row_id in rows.by_id:
            row = rows.by_id[one.row_id]
            answers.append(_answer_row(one, row))
            criteria += _criterion_rows(one, row)
    return pd.DataFrame(answers, columns=ANSWER_COLUMNS), pd.DataFrame(criteria, columns=CRITERION_COLUMNS)


def _answer_row(answered: CandidateAnswer, row: EvaluationRow) -> dict[str, Any]:
    verdicts = answered.evaluation.verdicts
    score = weighted_score(row.rubrics, verdicts)
    return {
        "candidate": answered.candidate,
        "row_id": row.id,
        "group": row.group,
        **row.model_dump(include=set(BY_ROW)),
        "score": float(score) if score is not None else float("nan"),
        "words": len(answered.response.split()),
        "met": sum(verdict.met for verdict in verdicts),
        "criteria": len(verdicts),
        "model": answered.model,
        "judge": answered.evaluation.model,
    }


def _criterion_rows(answered: CandidateAnswer, row: EvaluationRow) -> list[dict[str, Any]]:
    return [
        {
            "candidate": answered.candidate,
            "row_id": row.id,
            "group": row.group,
            "tutoring_skill": rubric.attributes.tutoring_skill,
            "eval_dimension": rubric.attributes.eval_dimension,
            "met": verdict.met,
        }
        for rubric, verdict in zip(row.rubrics, answered.evaluation.verdicts, strict=True)
    ]


def catch_line(tables: Tables, *, judges: set[str]) -> str:
    """Return how many planted failures the judge catches, which is known of the run's judge alone."""
    of_run = {name for name in tables.samples["judge"].dropna().unique() if name}
    if judges <= of_run:
        return tables.catches.line
    return (
        f"how many planted failures {', '.join(sorted(judges))} catches is not known, because {', '.join(sorted(of_run))} judged the run. "
        "Run 02_filter with the same JUDGE_MODEL to know it."
    )
