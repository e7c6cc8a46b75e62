"""sample -> verdicts, matched by rubric id -> evaluation; and all samples of a run, with the planted failures among them.

The judge sees the criteria in a seeded random order, without severity or weight, and quotes its evidence, which is looked up in the
response. A set of verdicts that is not complete leaves the sample unjudged, and never becomes a score.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from lib.errors import counted
from lib.filter.planted import MARK, Plant, spoil, spoiled_copy, with_plants
from lib.filter.votes import differ, evaluation, is_close, votes_of
from lib.generate.dealing import COPIES, SPOILINGS, copies_of
from lib.llm.ask import Asker
from lib.llm.call import Reply
from lib.llm.tally import Tally
from lib.llm.work import Pass, again, work_through
from lib.prompts.answers import JudgementAnswer
from lib.prompts.rendering import Template, judge_prompt, template_sha256
from lib.prompts.rubric_ids import OwnIds
from lib.run.files import RunError
from lib.run.lock import holding
from lib.run.manifest import read_manifest
from lib.run.records import gate_decisions, made_samples, require_sound_records
from lib.run.run import Run
from lib.schema import Evaluation, Failure, Planted, Rubric, Sample

COPY_TEMPLATES: tuple[Template, ...] = ("judge", "spoil", "spoil_subtle", "rewrite")
ONLY_TRIED = "Nothing was judged, because edited_prompt only tries a prompt. The judgements on record stay."
NONE_GIVEN_UP: Mapping[str, Failure] = {}


@holding
def judge_samples(
    run: Run, *, may_fall_short: bool = False, given_up: Mapping[str, Failure] = NONE_GIVEN_UP, title: str = ""
) -> Tally | str:
    """Judge every sample that passed the gates, and the planted failures, or replay it. Write `evaluations.jsonl` and `planted.jsonl`.

    Where a prompt is only tried (`edited_prompt`), the judgements on record stay, and a sentence says so.
    `given_up` holds failures that are not tried again, by id. Raises RunFailed when fewer than `min_call_success` could be judged, unless
    the pass `may_fall_short`, ProviderError when no call can succeed, and RunError when nothing was made.
    """
    settings = run.settings
    if settings.edited_prompt and not settings.top_up and read_manifest(run).has("judging"):
        return ONLY_TRIED
    require_sound_records(run)
    ids = [(sample.id, sample.metadata.origin) for sample in to_judge(run)]
    if not ids and next(made_samples(run), None) is None:
        raise RunError(f"{run.generated}: no sample was made. See failures.jsonl and scenarios_dropped.jsonl beside it.")
    # Drawn from the plan's own samples only, so that topping up leaves the draw as it was.
    copies = copies_of([name for name, origin in ids if origin == "plan"], settings)
    total = sum(map(len, copies.values()))
    planted = sum(kinds[0] in SPOILINGS for lists in copies.values() for kinds in lists)  # the others are harmless
    votes = Counter[int]()  # how many samples and copies were judged so often

    async def judge(ask: Asker, thing: Sample | Plant) -> tuple[Evaluation | Planted]:
        if failure := given_up.get(thing.id):
            raise again(failure)
        found = await (judge_sample(ask, thing) if isinstance(thing, Sample) else _judge_plant(ask, thing))
        votes[votes_of(found if isinstance(found, Evaluation) else found.evaluation)] += 1
        return (found,)

    work = Pass(
        verb="judged",
        title=title,
        things=with_plants(to_judge(run), copies),
        total=len(ids) + total,
        make=judge,
        targets={Evaluation: run.evaluations, Planted: run.planted},
        is_own=lambda failure: failure.stage in ("judge", "spoil"),
        stages=("judge", "spoil"),
    )
    tally = work_through(run, work)
    unjudged = [kind for failure in tally.failures if (kind := kind_of_copy(failure))]
    lost = sum(kind in SPOILINGS for kind in unjudged)
    measuring = counted(total, "copy", plural="copies")
    notes = [f"{total - len(unjudged):,} of {measuring} that measure the judge were judged among them"] if total else []
    if settings.votes == 1 and (again_judged := votes[2] + votes[3]):
        notes.append(f"{again_judged:,} of these samples and copies were close and judged again, {votes[3]:,} of them a third time")
    tally = replace(_of_samples(tally, len(ids)), note="; ".join(notes))
    if tally.keeps_files and not may_fall_short:
        return tally.require_enough(run)
    tally.record(
        run,
        "judging",
        planted={"total": planted, "judged": planted - lost, "failed": lost},
        votes=settings.votes,
        prompt_sha256={stage: template_sha256(stage) for stage in COPY_TEMPLATES},
    )
    return tally if may_fall_short else tally.require_enough(run)


def to_judge(run: Run) -> Iterator[Sample]:
    """Yield the samples that passed the gates. Raises RunError when the gates have not been run."""
    gated = gate_decisions(run)
    return (sample for sample in made_samples(run) if sample.id not in gated)


async def judge_sample(ask: Asker, sample: Sample) -> Evaluation:
    """Ask for the verdicts of one sample, `votes` times or as often as needed. Raises CallFailed when they can't be had complete."""
    if ask.settings.votes == 1:
        replies = await _close_votes(ask, sample)
    else:
        votes = [_vote(ask, sample, vote=vote) for vote in range(ask.settings.votes)]
        outcomes = await asyncio.gather(*votes, return_exceptions=True)  # all are paid for, so none is cancelled for another's failure
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        replies = [outcome for outcome in outcomes if isinstance(outcome, Reply)]
    answers, judge = [reply.answer for reply in replies], ask.provider("judge")
    return evaluation(sample, answers, model=replies[0].model, provider=judge.id, notice=judge.notice)


async def _close_votes(ask: Asker, sample: Sample) -> list[Reply[JudgementAnswer]]:
    """Return one vote, or where it is close a second, and where the two differ a third."""
    first = await _vote(ask, sample, vote=0)
    if ask.provider("judge").is_embedded or not ask.settings.second_vote or not is_close(sample, first.answer):
        return [first]
    second = await _vote(ask, sample, vote=1)
    if not differ(sample, (first.answer, second.answer)):
        return [first, second]
    return [first, second, await _vote(ask, sample, vote=2)]


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


def kind_of_copy(failure: Failure) -> str:
    """Return what kind of copy could not be judged, or "" when it was a sample."""
    kind = failure.id.rpartition(MARK)[2]
    return kind if kind in COPIES else ""  # a subject of the user's own may hold the mark


def shown_order(rubrics: Sequence[Rubric], seed: str) -> list[Rubric]:
    """Return the rubrics shuffled, because criteria that always come first get other verdicts than those that come last."""
    shuffled = list(rubrics)
    random.Random(seed).shuffle(shuffled)
    return shuffled


def complete_for(rubric_ids: Sequence[str]) -> Callable[[JudgementAnswer], str]:
    """Return the objection to a judgement that lacks, repeats or invents an id. It is "" when each id has one verdict."""
    own = OwnIds(rubric_ids)
    return lambda answer: own.objection((verdict.rubric_id for verdict in answer.verdicts), what="verdicts")


def _of_samples(tally: Tally, samples: int) -> Tally:
    """Return the tally without the planted failures, which are counted apart."""
    failures = tuple(failure for failure in tally.failures if not kind_of_copy(failure))
    return replace(tally, total=samples, done=samples - len(failures), failures=failures)
