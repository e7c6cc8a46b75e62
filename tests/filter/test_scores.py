"""Critical criteria are counted; TutorBench's weighted score counts a broken ban against the response."""

from fractions import Fraction

from lib.filter.scores import critical_score, weighted_score
from tests.build import a_sample, an_evaluation, rubrics_of

# ── critical criteria ────────────────────────────────────────────────────────────────────────────────────────────────


def test_critical_rubrics_are_those_of_weight_5_and_minus_5() -> None:
    sample = a_sample(rubrics=rubrics_of(5, -5, 1, 5, 1))
    score = critical_score(sample, an_evaluation(sample))
    assert (score.passed, score.total) == (3, 3)


def test_a_ban_that_is_kept_counts_as_passed_and_one_that_is_broken_as_failed() -> None:
    """A criterion of weight -5 is phrased "must not": satisfied is good, as with all others."""
    sample = a_sample(rubrics=rubrics_of(5, -5))
    kept, broken = (critical_score(sample, an_evaluation(sample, failed=failed)) for failed in ([], ["r2"]))
    assert (kept.passed, kept.total) == (2, 2)
    assert (broken.passed, broken.total) == (1, 2)


def test_verdicts_are_matched_by_rubric_id_not_by_position() -> None:
    sample = a_sample(rubrics=rubrics_of(5, 1))
    straight = an_evaluation(sample, failed=["r2"])
    shuffled = straight.model_copy(update={"verdicts": straight.verdicts[::-1]})
    assert critical_score(sample, shuffled) == critical_score(sample, straight)
    assert critical_score(sample, shuffled).passed == 1


# ── the weighted score: Σ w·r / Σ positive w, worked by hand ─────────────────────────────────────────────────────────


def score(weights: list[int], *, failed: list[str]) -> Fraction | None:
    sample = a_sample(rubrics=rubrics_of(*weights))
    return weighted_score(sample.metadata.rubrics, an_evaluation(sample, failed=failed).verdicts)


def test_all_met_is_one_and_a_ban_that_is_kept_adds_nothing() -> None:
    """(5·1 + 1·1 - 5·0) / (5 + 1)."""
    assert score([5, 1, -5], failed=[]) == 1


def test_a_criterion_that_is_not_met_earns_nothing() -> None:
    """(5·0 + 1·1) / 6 and (5·1 + 1·0) / 6."""
    assert score([5, 1], failed=["r1"]) == Fraction(1, 6)
    assert score([5, 1], failed=["r2"]) == Fraction(5, 6)


def test_a_broken_ban_is_subtracted() -> None:
    """(5·1 + 1·1 - 5·1) / 6; and with nothing met (0 - 5) / 6."""
    assert score([5, 1, -5], failed=["r3"]) == Fraction(1, 6)
    assert score([5, 1, -5], failed=["r1", "r2", "r3"]) == Fraction(-5, 6)


def test_without_a_positive_weight_there_is_no_score() -> None:
    assert score([-5], failed=[]) is None
    assert weighted_score([], []) is None
