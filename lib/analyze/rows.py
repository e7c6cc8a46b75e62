"""The records of a sample, a verdict or a dropped scenario -> its row in the tables of a run."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lib.analyze.marks import marks
from lib.filter.faults import touched
from lib.filter.keep import Judged
from lib.filter.scores import critical_score, weighted_score
from lib.filter.votes import votes_of
from lib.schema import DroppedScenario, Planted, Verification
from lib.taxonomy import AREA_OF

if TYPE_CHECKING:
    import pandas as pd

ROWS_A_FRAME = 20_000
SAMPLE_COLUMNS = [
    "id", "subject", "area", "topic", "level", "misconception_type", "origin", "status", "kept", "reason",
    "critical_passed", "critical_total", "critical_pass_rate", "weighted_score", "quality_score", "strengths", "weaknesses",
    "response_words", "opening", "closing", "praise", "you", "question", "em_dash", "opening_as_assigned", "closing_as_assigned",
    "follow_up_words", "follow_up_question", "follow_up_unsure", "verified", "verifier", "equations", "not_computed",
    "criteria_removed", "votes", "response_id", "question_id", "judge", "writers", "notice",
]  # fmt: skip
VERDICT_COLUMNS = [
    "id", "rubric_id", "criteria", "critical", "severity", "tutoring_skill", "eval_dimension", "met", "why_not", "evidence_found",
    "flipped",
]  # fmt: skip
SCENARIO_COLUMNS = ["id", "subject", "misconception_type", "level", "origin", "reason", "detail"]


def copy_row(copy: Planted, judged: Judged, *, caught: bool, original_passes: bool | None) -> dict[str, Any]:
    """Return what the judge made of a spoiled copy and of its original. What is known of the original is None while it is unjudged."""
    met = {verdict.rubric_id for verdict in judged.evaluation.verdicts if verdict.met} if judged.evaluation else set()
    newly_failed = [verdict.rubric_id for verdict in copy.evaluation.verdicts if not verdict.met and verdict.rubric_id in met]
    return {
        "id": copy.id,
        "spoiling": copy.spoiling,
        "caught": caught,
        "original_passes": original_passes,
        "newly_failed": ", ".join(newly_failed),
        "touched_fails": not touched(judged.sample.metadata.rubrics, copy.spoiling).isdisjoint(newly_failed),
    }


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
        "response_id": sample.response_id,
        "question_id": sample.question_id,
        "judge": evaluation.model if evaluation else "",
        "writers": _stored_once(tuple(dict.fromkeys(about.models.values()))),
        "notice": about.notice,
    }


@lru_cache(maxsize=10_000)
def _stored_once(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the same object for equal tuples, because many samples have the same strengths."""
    return names


def _verification(found: Verification | None) -> dict[str, Any]:
    if not found:
        return {"verified": False, "verifier": "", "equations": 0, "not_computed": 0, "criteria_removed": 0}
    counts = {"equations": found.equations, "not_computed": found.not_computed, "criteria_removed": len(found.criteria_removed)}
    return {"verified": True, "verifier": found.model} | counts


def scenario_row(scenario: DroppedScenario) -> dict[str, Any]:
    return scenario.model_dump(include=set(SCENARIO_COLUMNS))


def verdict_rows(judged: Judged) -> list[dict[str, Any]]:
    """Return a row a verdict. `flipped` is true where votes differ, and missing where there was one vote."""
    if not judged.evaluation:
        return []
    return [
        {
            "id": judged.sample.id,
            "rubric_id": rubric.id,
            "criteria": "" if verdict.met else rubric.criteria,  # the texts of all would be half of the table
            "critical": rubric.critical,
            "severity": rubric.attributes.severity,
            "tutoring_skill": rubric.attributes.tutoring_skill,
            "eval_dimension": rubric.attributes.eval_dimension,
            "met": verdict.met,
            "why_not": "" if verdict.met else verdict.reasoning,
            "evidence_found": verdict.evidence_found,
            "flipped": len(set(verdict.votes)) > 1 if verdict.votes else None,
        }
        for rubric, verdict in zip(judged.sample.metadata.rubrics, judged.evaluation.verdicts, strict=True)
    ]
