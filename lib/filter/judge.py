"""sample -> verdicts, matched by rubric id -> evaluation; and all samples of a run, with the planted failures among them.

The judge sees the criteria in a seeded random order, without severity or weight, and quotes its evidence, which is looked up in the
response. A set of verdicts that is not complete leaves the sample unjudged: it never becomes a score.
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
from lib.llm.call import Call, Reply
from lib.llm.work import Pass, Tally, Targets, again, record, require_enough, work_through
from lib.prompts.answers import JudgementAnswer, VerdictAnswer
from lib.prompts.rendering import judge_prompt, template_sha256
from lib.run.files import RunError, read_jsonl
from lib.run.folder import holding, made_samples, run_of
from lib.run.manifest import require_sound_records
from lib.schema import Decision, Evaluation, Failure, Planted, Rubric, Sample, Verdict
from lib.settings import Settings

NONE_GIVEN_UP: Mapping[str, Failure] = {}


@holding
def judge_samples(settings: Settings, *, at_any_rate: bool = False, given_up: Mapping[str, Failure] = NONE_GIVEN_UP) -> Tally:
    """Judge every sample that passed the gates, and the planted failures, or replay it; write `evaluations.jsonl` and `planted.jsonl`.

    `given_up`: failures that are not tried again, by id. Raises RunFailed when fewer than `min_call_success` could be judged,
    ProviderError when none can, RunError when nothing was made.
    """
    run = run_of(settings)
    require_sound_records(run)
    ids = [(sample.id, sample.metadata.origin) for sample in to_judge(settings)]
    if not ids and next(made_samples(run), None) is None:
        raise RunError(f"{run.generated}: no sample was made. See failures.jsonl beside it.")
    # Drawn from the plan's own samples only, so that topping up leaves the draw as it was.
    ranks = drawn([name for name, origin in ids if origin == "plan"], share=settings.planted_share, random_seed=settings.random_seed)
    things = with_plants(to_judge(settings), ranks, random_seed=settings.random_seed)
    targets: Targets = {Evaluation: run.evaluations, Planted: run.planted}
    work = Pass(
        "judged", len(ids) + len(ranks), targets, is_own=lambda failure: failure.stage in ("judge", "spoil"), stages=("judge", "spoil")
    )

    async def judge(ask: Asker, thing: Sample | Plant) -> Evaluation | Planted:
        if failure := given_up.get(thing.id):
            raise again(failure)
        return await _judge(ask, thing)

    tally = work_through(things, judge, work=work, settings=settings)
    lost = sum(map(is_planted, tally.failures))
    record(
        _of_samples(tally, len(ids)),
        "judging",
        settings,
        planted={"total": len(ranks), "judged": len(ranks) - lost, "failed": lost},
        votes=settings.votes,
        prompt_sha256={stage: template_sha256(stage) for stage in ("judge", "spoil")},
    )
    remark = f"{len(ranks) - lost:,} of {len(ranks):,} planted failures were judged among them."
    tally = replace(tally, remarks=(*tally.remarks, remark) if ranks else tally.remarks)
    return require_enough(_of_samples(tally, len(ids)), settings, at_any_rate=at_any_rate)


def to_judge(settings: Settings) -> Iterator[Sample]:
    """Yield the samples that passed the gates. Raises RunError when the gates have not been run."""
    run = run_of(settings)
    gated = {decision.id for decision in read_jsonl(run.gated, Decision, made_by="02_filter from its top")}
    return (sample for sample in made_samples(run) if sample.id not in gated)


async def _judge(ask: Asker, thing: Sample | Plant) -> Evaluation | Planted:
    if isinstance(thing, Sample):
        return await judge_sample(ask, thing)
    spoiled = await spoil(ask, thing)
    found = await judge_sample(ask, spoiled_copy(thing, spoiled))
    return Planted(
        id=thing.id,
        sample_id=thing.sample.id,
        spoiling=thing.spoiling,
        response=spoiled.response,
        fault=spoiled.fault,
        evaluation=found,
    )


async def judge_sample(ask: Asker, sample: Sample) -> Evaluation:
    """Ask for the verdicts of one sample, `votes` times. Raises CallFailed when they can't be had complete."""
    votes = [_vote(ask, sample, vote) for vote in range(ask.settings.votes)]
    outcomes = await asyncio.gather(*votes, return_exceptions=True)  # all are paid for, so none is cancelled for another's failure
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    replies = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
    answers = [reply.answer for reply in replies]
    return evaluation(sample, answers, model=replies[0].model, provider=ask.provider.id, notice=ask.provider.notice)


async def _vote(ask: Asker, sample: Sample, vote: int) -> Reply[JudgementAnswer]:
    settings, about = ask.settings, sample.metadata
    prompt = judge_prompt(
        question=about.question,
        explanation=about.explanation,
        follow_up=about.follow_up,
        rubrics=shown_order(about.rubrics, f"{settings.random_seed}/{sample.id}/judge/{vote}"),
        response=sample.response,
    )
    objection = complete_for([rubric.id for rubric in about.rubrics])
    return await ask(
        Call(sample.id, "judge", settings.judge_model, prompt, JudgementAnswer, settings.max_tokens, settings.judge_effort, vote, objection)
    )


def is_planted(failure: Failure) -> bool:
    return failure.id.rpartition(MARK)[2] in SPOILINGS  # a subject of the user's own may hold the mark


def shown_order(rubrics: Sequence[Rubric], seed: str) -> list[Rubric]:
    """Return the rubrics shuffled: criteria that always come first get other verdicts than those that come last."""
    shuffled = list(rubrics)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def complete_for(rubric_ids: Sequence[str]) -> Callable[[JudgementAnswer], str]:
    """Return the objection to a judgement that lacks, repeats or invents an id ("" when each id has one verdict)."""
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

    Verdicts stand in the rubrics' own order, whatever order they were shown or answered in. The quality score is the median; strengths
    and weaknesses are those that more than half of the answers name.
    """
    said = _by_own_id([rubric.id for rubric in sample.metadata.rubrics], answers)
    return Evaluation(
        id=sample.id,
        verdicts=tuple(_verdict(rubric.id, sample.response, said[rubric.id]) for rubric in sample.metadata.rubrics),
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
    own, said = OwnIds(rubric_ids), dict[str, list[VerdictAnswer]]()
    for answer in answers:
        for verdict in answer.verdicts:
            said.setdefault(own.of(verdict.rubric_id), []).append(verdict)
    return said


def _verdict(rubric_id: str, response: str, said: Sequence[VerdictAnswer]) -> Verdict:
    votes = tuple(verdict.met for verdict in said)
    met = sum(votes) * 2 > len(votes)
    shown = said[votes.index(met)]
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
    """Return the tally without the planted failures: they are counted apart."""
    failures = tuple(failure for failure in tally.failures if not is_planted(failure))
    return replace(tally, total=samples, done=samples - len(failures), failures=failures)
