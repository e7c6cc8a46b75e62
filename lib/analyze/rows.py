"""The records of a sample, a verdict or a dropped scenario -> its row in the tables of a run."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from lib.analyze.marks import marks
from lib.filter.general import is_general, scenario_words
from lib.filter.keep import Judged
from lib.filter.scores import critical_score, weighted_score
from lib.filter.votes import by_judge, is_divided, votes_of
from lib.generate.objections import is_compound
from lib.schema import DroppedScenario, Evaluation, Rubric, Verdict, Verification
from lib.taxonomy import AREA_OF

if TYPE_CHECKING:
    import pandas as pd

V = TypeVar("V")
ROWS_A_FRAME = 20_000
SAMPLE_COLUMNS = [
    "id", "subject", "area", "topic", "level", "misconception_type", "origin", "status", "kept", "reason",
    "critical_passed", "critical_total", "critical_pass_rate", "weighted_score", "quality_score", "strengths", "weaknesses",
    "response_words", "opening", "closing", "praise", "you", "question", "em_dash", "opening_as_assigned", "closing_as_assigned",
    "follow_up_words", "follow_up_question", "follow_up_unsure", "verified", "verifier", "equations", "not_computed",
    "criteria_removed", "votes", "divided", "response_id", "question_id", "judge", "panel", "writers", "notice",
]  # fmt: skip
VERDICT_COLUMNS = [
    "id", "rubric_id", "criteria", "critical", "severity", "tutoring_skill", "eval_dimension", "met", "why_not", "evidence_found",
    "flipped", "by_judge", "compound", "general",
]  # fmt: skip
SCENARIO_COLUMNS = ["id", "subject", "misconception_type", "level", "origin", "reason", "detail"]


class Rows:
    """The rows of a table while they are read. Now and then they become a frame, because a dict takes ten times the memory of its row."""

    def __init__(self, columns: list[str]) -> None:
        self._columns = columns
        self._frames, self._rows = list["pd.DataFrame"](), list[dict[str, Any]]()

    def add(self, rows: Iterable[dict[str, Any]]) -> None:
        self._rows.extend(rows)
        if len(self._rows) >= ROWS_A_FRAME:
            self._end_frame()

    def table(self) -> "pd.DataFrame":
        """Return all rows. Each column has the type that it would have had in a single frame."""
        import pandas as pd

        if self._rows or not self._frames:
            self._end_frame()
        return pd.concat(self._frames, ignore_index=True).infer_objects() if len(self._frames) > 1 else self._frames[0]

    def _end_frame(self) -> None:
        import pandas as pd

        self._frames.append(pd.DataFrame(self._rows, columns=self._columns))
        self._rows.clear()


def sample_row(judged: Judged) -> dict[str, Any]:
    """Return what the sample is about, its decision and its scores. The scores are missing while it is unjudged."""
    sample, evaluation, about = judged.sample, judged.evaluation, judged.sample.metadata
    score = critical_score(sample, evaluation) if evaluation else None
    weighted = weighted_score(about.rubrics, evaluation.verdicts) if evaluation else None
    return {
        "id": sample.id,
        "subject": about.subject,
        "area": AREA_OF.get(about.subject, "Other"),
        "topic": about.topic,
        "level": about.level,
        "misconception_type": about.misconception_type,
        "origin": about.origin,
        "status": judged.decision.status,
        "kept": judged.is_kept,
        "reason": judged.decision.reason,
        "critical_passed": score.passed if score else None,
        "critical_total": score.total if score else None,
        "critical_pass_rate": score.passed / score.total if score and score.total else None,
        "weighted_score": None if weighted is None else float(weighted),
        "quality_score": evaluation.quality_score if evaluation else None,
        "strengths": _stored_once(evaluation.strengths) if evaluation else (),
        "weaknesses": _stored_once(evaluation.weaknesses) if evaluation else (),
        **marks(sample),
        **_verification(about.verification),
        "votes": votes_of(evaluation) if evaluation else None,
        "divided": is_divided(sample, evaluation) if evaluation else None,
        "response_id": sample.response_id,
        "question_id": sample.question_id,
        "judge": evaluation.model if evaluation else "",
        "panel": _stored_once(tuple(dict.fromkeys(evaluation.panel))) if evaluation else (),
        "writers": _stored_once(tuple(dict.fromkeys(about.models.values()))),
        "notice": about.notice,
    }


@lru_cache(maxsize=10_000)
def _stored_once(values: tuple[V, ...]) -> tuple[V, ...]:
    """Return the same object for equal tuples, because many samples have the same strengths."""
    return values


def _verification(found: Verification | None) -> dict[str, Any]:
    if not found:
        return {"verified": False, "verifier": "", "equations": 0, "not_computed": 0, "criteria_removed": 0}
    counts = {"equations": found.equations, "not_computed": found.not_computed, "criteria_removed": len(found.criteria_removed)}
    return {"verified": True, "verifier": found.model} | counts


def scenario_row(scenario: DroppedScenario) -> dict[str, Any]:
    return scenario.model_dump(include=set(SCENARIO_COLUMNS))


def verdict_rows(judged: Judged) -> list[dict[str, Any]]:
    """Return a row a verdict.

    `flipped` is true where the votes of a judge differ, and missing where each has one. `by_judge` holds the verdict of each judge of a
    panel, and is empty with a single judge.
    """
    evaluation = judged.evaluation
    if not evaluation:
        return []
    about = scenario_words(judged.sample)
    return [
        {
            "id": judged.sample.id,
            "rubric_id": rubric.id,
            "criteria": rubric.criteria
            if not verdict.met or _is_odd(rubric, verdict, about=about)
            else "",  # all would be half of the table
            "critical": rubric.critical,
            "severity": rubric.attributes.severity,
            "tutoring_skill": rubric.attributes.tutoring_skill,
            "eval_dimension": rubric.attributes.eval_dimension,
            "met": verdict.met,
            "why_not": "" if verdict.met else verdict.reasoning,
            "evidence_found": verdict.evidence_found,
            "flipped": _flipped(verdict, evaluation),
            "by_judge": votes,
            "compound": is_compound(rubric.criteria),
            "general": is_general(rubric, about),
        }
        for rubric, verdict, votes in zip(judged.sample.metadata.rubrics, evaluation.verdicts, _by_judge(evaluation), strict=True)
    ]


def _is_odd(rubric: Rubric, verdict: Verdict, *, about: frozenset[str]) -> bool:
    """Whether the criterion may stand as an example of one that is badly written, or on which votes differ."""
    return len(set(verdict.votes)) > 1 or is_compound(rubric.criteria) or is_general(rubric, about)


def _flipped(verdict: Verdict, evaluation: Evaluation) -> bool | None:
    if not evaluation.panel:
        return len(set(verdict.votes)) > 1 if verdict.votes else None
    votes: dict[str, set[bool]] = {}
    for judge, vote in zip(evaluation.panel, verdict.votes, strict=True):
        votes.setdefault(judge, set()).add(vote)
    return any(len(own) > 1 for own in votes.values()) if votes_of(evaluation) > 1 else None


def _by_judge(evaluation: Evaluation) -> list[tuple[bool, ...]]:
    """Return for each criterion what each judge of a panel finds."""
    if not evaluation.panel:
        return [()] * len(evaluation.verdicts)
    return [_stored_once(tuple(verdict.met for verdict in row)) for row in zip(*by_judge(evaluation).values(), strict=True)]
