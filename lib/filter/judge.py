"""samples that passed the gates, with spoiled and harmless copies among them -> evaluations, for a whole run."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from lib.errors import counted
from lib.filter.judgement import judge_sample, one_by_one
from lib.filter.planted import MARK, Plant, spoil, spoiled_copy, with_plants
from lib.filter.votes import votes_of
from lib.generate.dealing import COPIES, SPOILINGS, copies_of
from lib.llm.ask import Asker
from lib.llm.tally import Tally
from lib.llm.work import Pass, again, work_through
from lib.prompts.rendering import Template, template_sha256
from lib.run.files import RunError
from lib.run.lock import holding
from lib.run.manifest import read_manifest
from lib.run.records import gate_decisions, made_samples, require_sound_records
from lib.run.run import Run
from lib.schema import Evaluation, Failure, Planted, Sample

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
    if settings.votes == len(settings.judges) == 1 and (again_judged := votes[2] + votes[3]):
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


async def _judge_plant(ask: Asker, plant: Plant) -> Planted:
    spoiled = await spoil(ask, plant)
    copy = spoiled_copy(plant, spoiled)
    return Planted(
        id=plant.id,
        sample_id=plant.sample.id,
        spoiling=plant.spoiling,
        response=spoiled.response,
        fault=spoiled.fault,
        evaluation=await judge_sample(ask, copy),
        one_by_one=await one_by_one(ask, copy) if ask.settings.one_criterion_a_call else (),
    )


def kind_of_copy(failure: Failure) -> str:
    """Return what kind of copy could not be judged, or "" when it was a sample."""
    kind = failure.id.rpartition(MARK)[2]
    return kind if kind in COPIES else ""  # a subject of the user's own may hold the mark


def _of_samples(tally: Tally, samples: int) -> Tally:
    """Return the tally without the planted failures, which are counted apart."""
    failures = tuple(failure for failure in tally.failures if not kind_of_copy(failure))
    return replace(tally, total=samples, done=samples - len(failures), failures=failures)
