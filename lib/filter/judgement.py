"""sample -> verdicts, matched by rubric id -> evaluation.

The judge sees the criteria in a seeded random order, without severity or weight, and quotes its evidence, which is looked up in the
response. A set of verdicts that is not complete leaves the sample unjudged, and never becomes a score. Where a panel judges, each of its
models is asked, and the majority decides each criterion.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence

from lib.filter.planted import MARK
from lib.filter.votes import differ, evaluation, is_close
from lib.llm.ask import Asker
from lib.llm.call import CallFailed, Reply
from lib.prompts.answers import JudgementAnswer
from lib.prompts.rendering import Stage, judge_prompt
from lib.prompts.rubric_ids import OwnIds
from lib.schema import Evaluation, Rubric, Sample, Verdict


async def judge_sample(ask: Asker, sample: Sample) -> Evaluation:
    """Ask for the verdicts of one sample, `votes` times or as often as needed. Raises CallFailed when they can't be had complete."""
    votes, judges = ask.settings.votes, ask.models["judge"]
    if votes == len(judges) == 1:
        replies = await _close_votes(ask, sample)
    else:
        replies = await _all([_vote(ask, sample, vote=vote, judge=judge) for judge in range(len(judges)) for vote in range(votes)])
    providers = [judge.endpoint.provider for judge in judges]
    return evaluation(
        sample,
        [reply.answer for reply in replies],
        model=", ".join(dict.fromkeys(reply.model for reply in replies)),
        provider=", ".join(dict.fromkeys(provider.id for provider in providers)),
        notice=next((provider.notice for provider in providers if provider.notice), ""),
        panel=[judge for judge in ask.settings.judges for _ in range(votes)] if len(judges) > 1 else [],
    )


async def _all(asking: Iterable[Awaitable[Reply[JudgementAnswer]]]) -> list[Reply[JudgementAnswer]]:
    """Return all replies. All are paid for, so none is cancelled for another's failure. Raises the first failure."""
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if isinstance(outcome, Reply)]


async def _close_votes(ask: Asker, sample: Sample) -> list[Reply[JudgementAnswer]]:
    """Return one vote, or where it is close a second, and where the two differ a third."""
    first = await _vote(ask, sample, vote=0)
    if ask.provider("judge").is_embedded or not ask.settings.second_vote or not is_close(sample, first.answer):
        return [first]
    second = await _vote(ask, sample, vote=1)
    if not differ(sample, (first.answer, second.answer)):
        return [first, second]
    return [first, second, await _vote(ask, sample, vote=2)]


async def one_by_one(ask: Asker, sample: Sample) -> tuple[Verdict, ...]:
    """Return the first judge's verdicts on the critical criteria, each from a call of its own, or () when one can't be had."""
    critical = [rubric for rubric in sample.metadata.rubrics if rubric.critical]
    parts = [sample.with_rubrics((rubric,), id=f"{sample.id}{MARK}{rubric.id}") for rubric in critical]
    try:
        replies = await _all([_vote(ask, part, stage="criterion") for part in parts])
    except CallFailed:
        return ()
    judged = [evaluation(part, [reply.answer], model="", provider="") for part, reply in zip(parts, replies, strict=True)]
    return tuple(verdict for one in judged for verdict in one.verdicts)


async def _vote(ask: Asker, sample: Sample, *, vote: int = 0, judge: int = 0, stage: Stage = "judge") -> Reply[JudgementAnswer]:
    about = sample.metadata
    prompt = judge_prompt(
        question=about.question,
        explanation=about.explanation,
        follow_up=about.follow_up,
        rubrics=shown_order(about.rubrics, f"{ask.settings.random_seed}/{sample.id}/judge/{vote}"),
        response=sample.response,
    )
    objection = complete_for([rubric.id for rubric in about.rubrics])
    try:
        return await ask(stage, sample.id, prompt=prompt, answer=JudgementAnswer, vote=vote, place=judge, objection=objection)
    except CallFailed as failed:
        if len(ask.models["judge"]) == 1:
            raise
        raise failed.named(ask.settings.judges[judge]) from None


def shown_order(rubrics: Sequence[Rubric], seed: str) -> list[Rubric]:
    """Return the rubrics shuffled, because criteria that always come first get other verdicts than those that come last."""
    shuffled = list(rubrics)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def complete_for(rubric_ids: Sequence[str]) -> Callable[[JudgementAnswer], str]:
    """Return the objection to a judgement that lacks, repeats or invents an id. It is "" when each id has one verdict."""
    own = OwnIds(rubric_ids)
    return lambda answer: own.objection((verdict.rubric_id for verdict in answer.verdicts), what="verdicts")
