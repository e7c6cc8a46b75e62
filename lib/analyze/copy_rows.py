"""A copy of a response, spoiled or in another form, and its original -> its row in the tables of a run."""

from collections.abc import Collection, Sequence
from typing import Any

from lib.filter.faults import EMPTY, is_of_tone, touched
from lib.filter.keep import Judged, drop_reason
from lib.filter.votes import by_judge
from lib.generate.dealing import SPOILINGS
from lib.schema import Planted, Rubric, Spoiling, Verdict
from lib.settings import Settings

COPY_COLUMNS = [
    "id", "spoiling", "caught", "original_passes", "newly_failed", "touched_fails", "touched", "never_failed", "asked_of_nothing",
    "met_by_nothing", "failed_skills", "by_judge", "one_by_one",
]  # fmt: skip


# Faults that stand beside what the criteria ask for, or that any one of them may show, so that no single criterion need fail.
BESIDE: tuple[Spoiling, ...] = ("small_error", "factual_reversal", "condescension")


def copy_row(copy: Planted, judged: Judged, *, settings: Settings) -> dict[str, Any]:
    """Return what the judge made of a copy and of its original. What is known of the original is None while it is unjudged."""
    original = judged.evaluation
    return {
        "id": copy.id,
        "spoiling": copy.spoiling,
        "caught": drop_reason(judged.sample, copy.evaluation, settings=settings) is not None,
        "original_passes": None if original is None else drop_reason(judged.sample, original, settings=settings) is None,
        **_of_criteria(copy, judged),
        **_of_judges(copy, judged, settings=settings),
    }


def _of_criteria(copy: Planted, judged: Judged) -> dict[str, Any]:
    """Return which criteria fail newly on the copy, and which are met although the copy gives no reason for it.

    Those are the criteria that the fault touches (`never_failed`), and those that a response without anything for this student meets
    (`met_by_nothing`). Both are texts by id, beside the number of criteria that could have failed so.
    """
    rubrics = judged.sample.metadata.rubrics
    before = _met(judged.evaluation.verdicts) if judged.evaluation else set()
    now = _met(copy.evaluation.verdicts)
    is_spoiled, is_empty = copy.spoiling in SPOILINGS, copy.spoiling in EMPTY
    hit = touched(rubrics, copy.spoiling) & before if is_spoiled else set()
    owed = set() if copy.spoiling in BESIDE else hit
    demands = {rubric.id for rubric in rubrics if rubric.weight > 0 and not is_of_tone(rubric)} if is_empty else set()
    return {
        "newly_failed": ", ".join(rubric.id for rubric in rubrics if rubric.id in before - now),
        "touched_fails": bool(hit - now),
        "touched": len(owed),
        "never_failed": _texts(rubrics, owed & now),
        "asked_of_nothing": len(demands),
        "met_by_nothing": _texts(rubrics, demands & now),
        "failed_skills": sorted({rubric.attributes.tutoring_skill for rubric in rubrics if rubric.id not in now}),
    }


def _of_judges(copy: Planted, judged: Judged, *, settings: Settings) -> dict[str, Any]:
    """Return whether each judge of a panel passes original and copy, and what the first one makes of the copy one criterion a call.

    `one_by_one` holds whether it passes the copy by its first vote, which decides all criteria in one call, and by one call a criterion.
    Quality score and weaknesses have no part in these.
    """

    def passes(verdicts: Sequence[Verdict]) -> bool:
        found = copy.evaluation.model_copy(update={"verdicts": tuple(verdicts), "quality_score": 5, "weaknesses": ()})
        return drop_reason(judged.sample, found, settings=settings) is None

    of_copy = by_judge(copy.evaluation) or {"": list(copy.evaluation.verdicts)}
    of_original = by_judge(judged.evaluation) if judged.evaluation else {}
    first = [verdict.model_copy(update={"met": verdict.votes[0]}) if verdict.votes else verdict for verdict in copy.evaluation.verdicts]
    return {
        "by_judge": {name: (passes(of_original[name]), passes(found)) for name, found in of_copy.items() if name in of_original},
        "one_by_one": (passes(first), passes(copy.one_by_one)) if copy.one_by_one else None,
    }


def _met(verdicts: Sequence[Verdict]) -> set[str]:
    return {verdict.rubric_id for verdict in verdicts if verdict.met}


def _texts(rubrics: Sequence[Rubric], ids: Collection[str]) -> dict[str, str]:
    """Return the texts of these criteria, by id."""
    return {rubric.id: rubric.criteria for rubric in rubrics if rubric.id in ids}
