"""The judge's answers on one sample -> its evaluation by the majority, and whether a single answer is too close to stand alone.

When 5 % of good criteria are failed by mistake, 23 % of good responses lose one of five. So where exactly one critical criterion fails, or
where the quality score contradicts the criteria, the judge is asked again, and a third time when the two answers differ.
"""

from collections import Counter
from collections.abc import Sequence
from statistics import median_low

from lib.filter.evidence import quote_found
from lib.prompts.answers import JudgementAnswer, VerdictAnswer
from lib.prompts.rendering import template_sha256
from lib.prompts.rubric_ids import OwnIds
from lib.schema import Evaluation, Sample, Verdict

LOW_SCORE, HIGH_SCORE = 2, 4  # scores up to, and from, which a response is bad, or good
FACTUAL_ERROR = "factual_error"  # a weakness


def votes_of(evaluation: Evaluation) -> int:
    """Return how often the judge was asked, or each judge of a panel."""
    return max([1, *(len(verdict.votes) for verdict in evaluation.verdicts)]) // max(1, len(set(evaluation.panel)))


def by_judge(evaluation: Evaluation) -> dict[str, list[Verdict]]:
    """Return the verdicts of each judge of a panel, by its own majority. It is empty with a single judge."""
    found: dict[str, list[Verdict]] = {}
    for judge in dict.fromkeys(evaluation.panel):
        own = [index for index, name in enumerate(evaluation.panel) if name == judge]
        for verdict in evaluation.verdicts:
            votes = tuple(verdict.votes[index] for index in own)
            found.setdefault(judge, []).append(verdict.model_copy(update={"met": sum(votes) * 2 > len(votes), "votes": votes}))
    return found


def is_close(sample: Sample, answer: JudgementAnswer) -> bool:
    """Whether the answer is so close that another vote is worth its price.

    The settings that decide what is kept have no part in it, so that changing them asks nothing.
    """
    return _is_close(len(_failed(sample, answer)), score=answer.quality_score, weaknesses=answer.weaknesses)


def is_divided(sample: Sample, evaluation: Evaluation) -> bool:
    """Whether votes or judges differ on a critical criterion, or a single answer like this would be close."""
    critical = {rubric.id for rubric in sample.metadata.rubrics if rubric.critical}
    verdicts = [verdict for verdict in evaluation.verdicts if verdict.rubric_id in critical]
    failed = sum(not verdict.met for verdict in verdicts)
    differ = any(len(set(verdict.votes)) > 1 for verdict in verdicts)
    return differ or _is_close(failed, score=evaluation.quality_score, weaknesses=evaluation.weaknesses)


def _is_close(failed: int, *, score: int, weaknesses: Sequence[str]) -> bool:
    """`failed` is the number of critical criteria that are not met."""
    return failed == 1 or (not failed and _finds_bad(score, weaknesses)) or (failed > 1 and score >= HIGH_SCORE)


def differ(sample: Sample, answers: tuple[JudgementAnswer, JudgementAnswer]) -> bool:
    """Whether two answers disagree on a critical criterion, or on whether the response is bad."""
    one, two = ((_failed(sample, answer), _finds_bad(answer.quality_score, answer.weaknesses)) for answer in answers)
    return one != two


def _failed(sample: Sample, answer: JudgementAnswer) -> set[str]:
    """Return the critical criteria that the answer finds not met."""
    given = _by_own_id([rubric.id for rubric in sample.metadata.rubrics], [answer])
    return {rubric.id for rubric in sample.metadata.rubrics if rubric.critical and not given[rubric.id][0].met}


def _finds_bad(score: int, weaknesses: Sequence[str]) -> bool:
    return score <= LOW_SCORE or FACTUAL_ERROR in weaknesses


def evaluation(
    sample: Sample, answers: Sequence[JudgementAnswer], *, model: str, provider: str, notice: str = "", panel: Sequence[str] = ()
) -> Evaluation:
    """Return the evaluation by the majority of the answers, or of the judges of a panel, each by its own majority.

    Where two are divided, on a minor criterion, the first counts.

    Verdicts stand in the rubrics' own order, whatever order they were shown or answered in. The quality score is the median. Strengths
    and weaknesses are those that more than half of the answers name. `panel` names the judge of each answer where there are several.
    """
    given = _by_own_id([rubric.id for rubric in sample.metadata.rubrics], answers)
    return Evaluation(
        id=sample.id,
        verdicts=tuple(_verdict(rubric.id, given[rubric.id], response=sample.response, panel=panel) for rubric in sample.metadata.rubrics),
        quality_score=median_low(answer.quality_score for answer in answers),
        strengths=_named([answer.strengths for answer in answers]),
        weaknesses=_named([answer.weaknesses for answer in answers]),
        provider=provider,
        model=model,
        prompt_sha256=template_sha256("judge"),
        notice=notice,
        panel=tuple(panel),
    )


def _by_own_id(rubric_ids: Sequence[str], answers: Sequence[JudgementAnswer]) -> dict[str, list[VerdictAnswer]]:
    """Return the verdicts of each rubric, in the order of the answers."""
    own, found = OwnIds(rubric_ids), dict[str, list[VerdictAnswer]]()
    for answer in answers:
        for verdict in answer.verdicts:
            found.setdefault(own.of(verdict.rubric_id), []).append(verdict)
    return found


def _verdict(rubric_id: str, given: Sequence[VerdictAnswer], *, response: str, panel: Sequence[str]) -> Verdict:
    votes = tuple(verdict.met for verdict in given)
    met = _majority(_of_each(panel, votes) if panel else votes)
    shown = given[votes.index(met)]
    return Verdict(
        rubric_id=rubric_id,
        met=met,
        reasoning=shown.reasoning,
        evidence=shown.evidence,
        evidence_found=quote_found(shown.evidence, response),
        votes=votes if len(votes) > 1 else (),
    )


def _of_each(panel: Sequence[str], votes: Sequence[bool]) -> list[bool]:
    """Return what each judge of the panel finds, by the majority of its own votes."""
    return [_majority([vote for name, vote in zip(panel, votes, strict=True) if name == judge]) for judge in dict.fromkeys(panel)]


def _majority(votes: Sequence[bool]) -> bool:
    """Return what more than half say, and the first of two halves."""
    return votes[0] if sum(votes) * 2 == len(votes) else sum(votes) * 2 > len(votes)


def _named(lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    counts = Counter(name for names in lists for name in dict.fromkeys(names))
    return tuple(name for name, count in counts.items() if count * 2 > len(lists))
