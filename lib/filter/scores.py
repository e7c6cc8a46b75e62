"""rubrics and verdicts -> the two scores of a response: how many critical criteria pass, and TutorBench's weighted score.

Every criterion is phrased so that satisfied is good, bans (negative weight) included. TutorBench counts a ban the other way round: its
r is 1 when the bad thing happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from lib.schema import Evaluation, Rubric, Sample, Verdict


@dataclass(frozen=True, slots=True)
class CriticalScore:
    """How many critical rubrics (weight 5 or -5) there are, and how many of them are satisfied."""

    passed: int
    total: int

    def above(self, threshold: Fraction) -> bool:
        """Whether MORE than `threshold` of them pass, compared without floats. With 1 to 5 of them and 4/5, all must."""
        return self.passed > threshold * self.total


def critical_score(sample: Sample, evaluation: Evaluation) -> CriticalScore:
    """Count the critical rubrics and those of them that are satisfied."""
    total = sum(rubric.critical for rubric in sample.metadata.rubrics)
    return CriticalScore(passed=total - len(critical_failures(sample, evaluation)), total=total)


def critical_failures(sample: Sample, evaluation: Evaluation) -> list[Rubric]:
    """Return the critical rubrics that are not met."""
    met = {verdict.rubric_id: verdict.met for verdict in evaluation.verdicts}
    return [rubric for rubric in sample.metadata.rubrics if rubric.critical and not met[rubric.id]]


def weighted_score(rubrics: Sequence[Rubric], verdicts: Sequence[Verdict]) -> Fraction | None:
    """Return ARR_w = Σ w·r / Σ positive w, at most 1 and below 0 where bans are broken; None without a positive weight.

    r is 1 when a criterion of positive weight is met, and when a ban (negative weight) is broken. Source: TutorBench's rubric score.
    """
    met = {verdict.rubric_id: verdict.met for verdict in verdicts}
    positive = sum(rubric.weight for rubric in rubrics if rubric.weight > 0)
    if not positive:
        return None
    return Fraction(sum(rubric.weight for rubric in rubrics if met[rubric.id] == (rubric.weight > 0)), positive)
