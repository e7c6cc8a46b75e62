"""sample -> verdicts, matched by rubric id -> evaluation; and all samples of a run, with the planted failures among them.

The judge sees the criteria in a seeded random order, without severity or weight, and quotes its evidence, which is looked up in the
response. A set of verdicts that is not complete leaves the sample unjudged, and never becomes a score.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median_low

from lib.filter.evidence import quote_found
from lib.filter.planted import MARK, SPOILINGS, Plant, drawn, spoil, spoiled_copy, with_plants
from lib.filter.rubric_ids import OwnIds
from lib.llm.ask import Asker
from lib.llm.call import Reply
from lib.llm.tally import Tally
from lib.llm.work import Pass, again, work_through
from lib.prompts.answers import JudgementAnswer, VerdictAnswer
from lib.prompts.rendering import judge_prompt, template_sha256
from lib.run.files import RunError
from lib.run.lock import holding
from lib.run.records import gate_decisions, made_samples, require_sound_records
from lib.run.run import Run
from lib.schema import Evaluation, Failure, Planted, Rubric, Sample, Verdict

NONE_GIVEN_UP: Mapping[str, Failure] = {}


@holding
def judge_samples(run: Run, *, may_fall_short: bool = False, given_up: Mapping[str, Failure] = NONE_GIVEN_UP) -> Tally:
    """Judge every sample that passed the gates, and the planted failures, or replay it. Write `evaluations.jsonl` and `planted.jsonl`.

    `given_up` holds failures that are not tried again, by id. Raises RunFailed when fewer than `min_call_success` could be judged, unless
    the pass `may_fall_short`, ProviderError when no call can succeed, and RunError when nothing was made.
    """
    settings = run.settings
    require_sound_records(run)
    ids = [(sample.id, sample.metadata.origin) for sample in to_judge(run)]
    if not ids and next(made_samples(run), None) is None:
        raise RunError(f"{run.generated}: no sample was made. See failures.jsonl beside it.")
    # Drawn from the plan's own samples only, so that topping up leaves the draw as it was.
    ranks = drawn([name for name, origin in ids if origin == "plan"], share=settings.planted_share, random_seed=settings.random_seed)

    async def judge(ask: Asker, thing: Sample | Plant) -> Evaluation | Planted:
        if failure := given_up.get(thing.id):
            raise again(failure)
        return await (judge_sample(ask, thing) if isinstance(thing, Sample) else _judge_plant(ask, thing))

    work = Pass(
        verb="judged",
        things=with_plants(to_judge(run), ranks, random_seed=settings.random_seed),
        total=len(ids) + len(ranks),
        make=judge,
        targets={Evaluation: run.evaluations, Planted: run.planted},
        is_own=lambda failure: failure.stage in ("judge", "spoil"),
        stages=("judge", "spoil"),
    )
    tally = work_through(run, work)
    lost = sum(map(is_planted, tally.failures))
    note = f"{len(ranks) - lost:,} of {len(ranks):,} planted failures were judged among them" if ranks else ""
    tally = replace(_of_samples(tally, len(ids)), note=note)
    tally.record(
        run,
        "judging",
        planted={"total": len(ranks), "judged": len(ranks) - lost, "failed": lost},
        votes=settings.votes,
        prompt_sha256={stage: template_sha256(stage) for stage in ("judge", "spoil")},
    )
    return tally if may_fall_short else tally.require_enough(run)


def to_judge(run: Run) -> Iterator[Sample]:
    """Yield the samples that passed the gates. Raises RunError when the gates have not been run."""
    gated = gate_decisions(run)
    return (sample for sample in made_samples(run) if sample.id not in gated)


async def judge_sample(ask: Asker, sample: Sample) -> Evaluation:
    """Ask for the verdicts of one sample, `votes` times. Raises CallFailed when they can't be had complete."""
    votes = [_vote(ask, sample, vote=vote) for vote in range(ask.settings.votes)]
    outcomes = await asyncio.gather(*votes, return_exceptions=True)  # all are paid for, so none is cancelled for another's failure
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    replies = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
    answers = [reply.answer for reply in replies]
    return evaluation(sample, answers, model=replies[0].model, provider=ask.provider.id, notice=ask.provider.notice)


async def _judge_plant(ask: Asker, plant: Plant) -> Planted:
    spoiled = await spoil(ask, plant)
    return Planted(
        id=plant.id,
        sample_id=plant.sample.id,
        spoiling=plant.spoiling,
        response=spoiled.response,
        fault=spoiled.fault,
        evaluation=await judge_sample(ask, spoiled_copy(plant, spoiled)),
    )


async def _vote(ask: Asker, sample: Sample, *, vote: int) -> Reply[JudgementAnswer]:
    about = sample.metadata
    prompt = judge_prompt(
        question=about.question,
        explanation=about.explanation,
        follow_up=about.follow_up,
        rubrics=shown_order(about.rubrics, f"{ask.settings.random_seed}/{sample.id}/judge/{vote}"),
        response=sample.response,
    )
    objection = complete_for([rubric.id for rubric in about.rubrics])
    return await ask("judge", sample.id, prompt=prompt, answer=JudgementAnswer, vote=vote, objection=objection)


def is_planted(failure: Failure) -> bool:
    return failure.id.rpartition(MARK)[2] in SPOILINGS  # a subject of the user's own may hold the mark


def shown_order(rubrics: Sequence[Rubric], seed: str) -> list[Rubric]:
    """Return the rubrics shuffled, because criteria that always come first get other verdicts than those that come last."""
    shuffled = list(rubrics)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def complete_for(rubric_ids: Sequence[str]) -> Callable[[JudgementAnswer], str]:
    """Return the objection to a judgement that lacks, repeats or invents an id. It is "" when each id has one verdict."""
    own = OwnIds(rubric_ids)

    def objection(answer: JudgementAnswer) -> str:
        given = Counter(own.of(verdict.rubric_id) for verdict in answer.verdicts)
        wanted = Counter(rubric_ids)
        if given == wanted:
            return ""
        missing, surplus = sorted((wanted - given).elements()), sorted((given - wanted).elements())
        return f"verdicts missing for {missing or 'none'}, surplus {surplus or 'none'}"

    return objection


def evaluation(sample: Sample, answers: Sequence[JudgementAnswer], *, model: str, provider: str, notice: str = "") -> Evaluation:
    """Return the evaluation by the majority of an odd number of answers.

    Verdicts stand in the rubrics' own order, whatever order they were shown or answered in. The quality score is the median. Strengths
    and weaknesses are those that more than half of the answers name.
    """
    given = _by_own_id([rubric.id for rubric in sample.metadata.rubrics], answers)
    return Evaluation(
        id=sample.id,
        verdicts=tuple(_verdict(rubric.id, given[rubric.id], response=sample.response) for rubric in sample.metadata.rubrics),
        quality_score=median_low(answer.quality_score for answer in answers),
        strengths=_named([answer.strengths for answer in answers]),
        weaknesses=_named([answer.weaknesses for answer in answers]),
        provider=provider,
        model=model,
        prompt_sha256=template_sha256("judge"),
        notice=notice,
    )


def _by_own_id(rubric_ids: Sequence[str], answers: Sequence[JudgementAnswer]) -> dict[str, list[VerdictAnswer]]:
    """Return the verdicts of each rubric, in the order of the answers."""
    own, found = OwnIds(rubric_ids), dict[str, list[VerdictAnswer]]()
    for answer in answers:
        for verdict in answer.verdicts:
            found.setdefault(own.of(verdict.rubric_id), []).append(verdict)
    return found


def _verdict(rubric_id: str, given: Sequence[VerdictAnswer], *, response: str) -> Verdict:
    votes = tuple(verdict.met for verdict in given)
    met = sum(votes) * 2 > len(votes)
    shown = given[votes.index(met)]
    return Verdict(
        rubric_id=rubric_id,
        met=met,
        reasoning=shown.reasoning,
        evidence=shown.evidence,
        evidence_found=quote_found(shown.evidence, response),
        votes=votes if len(votes) > 1 else (),
    )


def _named(lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    counts = Counter(name for names in lists for name in dict.fromkeys(names))
    return tuple(name for name, count in counts.items() if count * 2 > len(lists))


def _of_samples(tally: Tally, samples: int) -> Tally:
    """Return the tally without the planted failures, which are counted apart."""
    failures = tuple(failure for failure in tally.failures if not is_planted(failure))
    return replace(tally, total=samples, done=samples - len(failures), failures=failures)
