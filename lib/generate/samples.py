"""slot -> scenario and rubrics -> gold response -> sample; and all slots of a plan, through one window of calls."""

import math
from dataclasses import replace

from lib.generate.benchmark import read_benchmark
from lib.generate.inputs import Plan
from lib.llm.ask import Asker
from lib.llm.tally import Tally
from lib.llm.work import Pass, work_through
from lib.prompts.answers import GoldAnswer, RubricAnswer, ScenarioAnswer
from lib.prompts.rendering import gold_prompt, scenario_prompt, template_sha256
from lib.run.files import RunError, sha256_of
from lib.run.lock import held
from lib.run.manifest import read_manifest
from lib.run.records import forget_top_up, remove, require_sound_records
from lib.run.run import DECIDES_SAMPLES, Run
from lib.schema import WEIGHT_OF, Message, Rubric, RubricAttributes, Sample, SampleMetadata, Seed, Slot
from lib.settings import Settings, from_root

SEEDS_A_CHECKPOINT = 25
SYSTEM_PROMPT = "You are an expert tutor helping a student who is confused after your initial explanation."


def generate_samples(run: Run, plan: Plan) -> Tally:
    """Make every sample of the plan, or replay it from the journal, and write the run's files.

    Raises RunFailed when fewer than `min_call_success` could be made, ProviderError when none can, RunError when the folder is busy,
    and BenchmarkError when the file that the gates will need can't be used.
    """
    with held(run):
        return _generated(run, plan)


def _generated(run: Run, plan: Plan) -> Tally:
    settings = run.settings
    if other := [name for name in Settings.names_of("input", "plan") if getattr(settings, name) != getattr(plan.settings, name)]:
        raise RunError(f"The plan was read with another {', '.join(other)}: run the cell with read_plan again.")
    require_sound_records(run)
    topics_sha256 = sha256_of(from_root(settings.topics_csv))
    if settings.benchmark_csv:  # the gates need it only later, but nothing is paid before it can be read
        read_benchmark(from_root(settings.benchmark_csv))
    remarks = _replacement_remarks(run)

    async def make(ask: Asker, slot: Slot) -> Sample:
        return await make_sample(ask, slot, seed=plan.seed_of(slot))

    work = Pass(
        verb="made",
        things=plan,
        total=len(plan),
        make=make,
        targets={Sample: run.generated},
        is_own=lambda failure: failure.stage in ("scenario", "gold", "repair"),
        chunk=SEEDS_A_CHECKPOINT * settings.samples_per_seed,
        stages=("scenario",),
    )
    tally = work_through(run, work)
    forget_top_up(run)
    for path in run.checkpoints_beyond(math.ceil(work.total / work.chunk)):
        remove(path)
    seeds = plan.seed_file
    tally.record(
        run,
        "generation",
        inputs_sha256={"seeds": seeds.sha256, "topics": topics_sha256},
        seeds={"usable": len(seeds.seeds), "set_aside": seeds.reasons, "rubrics_deleted": seeds.rubrics_deleted},
        prompt_sha256={stage: template_sha256(stage) for stage in ("scenario", "gold")},
    )
    return replace(tally, remarks=(*remarks, *tally.remarks)).require_enough(run)


async def make_sample(ask: Asker, slot: Slot, *, seed: Seed) -> Sample:
    """Make one sample with two calls. Raises CallFailed when either can't be had."""
    scenario = await ask("scenario", slot.id, prompt=scenario_prompt(slot, seed), answer=ScenarioAnswer)
    rubrics = tuple(_rubric(number, answer) for number, answer in enumerate(scenario.answer.rubrics, start=1))
    prompt = gold_prompt(slot, scenario.answer, rubrics=rubrics if ask.settings.show_rubrics_to_tutor else ())
    gold = await ask("gold", slot.id, prompt=prompt, answer=GoldAnswer)
    about, question = scenario.answer, scenario.answer.question
    user = f"## Question\n{question}\n\n## My Explanation\n{about.explanation}\n\n## Student Follow-up\n{about.follow_up}"
    return Sample(
        id=slot.id,
        messages=(
            Message(role="system", content=SYSTEM_PROMPT),
            Message(role="user", content=user),
            Message(role="assistant", content=gold.answer.response),
        ),
        metadata=SampleMetadata(
            subject=slot.subject,
            topic=slot.topic or about.topic,
            level=slot.level,
            misconception_type=slot.misconception_type,
            misconception=about.misconception,
            question=question,
            explanation=about.explanation,
            follow_up=about.follow_up,
            rubrics=rubrics,
            style=slot.style,
            seed_row=seed.row,
            seed_sha256=seed.sha256,
            seed_prompt_sha256=seed.prompt_sha256,
            origin=slot.origin,
            provider=ask.provider.id,
            models={"scenario": scenario.model, "gold": gold.model},
            prompt_sha256={"scenario": template_sha256("scenario"), "gold": template_sha256("gold")},
            notice=ask.provider.notice,
        ),
    )


def _replacement_remarks(run: Run) -> list[str]:
    """Return a remark when the folder holds samples that were made with other settings."""
    before, now = read_manifest(run).generation.settings, run.settings.model_dump(mode="json")
    changed = [name for name in DECIDES_SAMPLES if before and before.get(name) != now[name]]
    if not changed:
        return []
    return [
        f"This folder held a run with other settings ({', '.join(changed)}): its files are made anew, its paid replies stay in the journal."
    ]


def _rubric(number: int, answer: RubricAnswer) -> Rubric:
    attributes = RubricAttributes(
        severity=answer.severity,
        tutoring_skill=answer.tutoring_skill,
        eval_dimension=", ".join(dict.fromkeys(answer.eval_dimension)),
        explicitness=answer.explicitness,
        objectivity=answer.objectivity,
    )
    return Rubric(id=f"r{number}", criteria=answer.criteria, weight=WEIGHT_OF[answer.severity], attributes=attributes)
