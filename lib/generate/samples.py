"""slot -> scenario and rubrics -> gold response -> sample; and all slots of a plan, through one window."""

import math
from dataclasses import replace

from lib.generate.benchmark import read_benchmark
from lib.generate.plan import Topics, plan
from lib.generate.seeds import SeedFile
from lib.llm.ask import Asker
from lib.llm.call import Call
from lib.llm.work import Pass, Tally, record, require_enough, work_through
from lib.prompts.answers import GoldAnswer, RubricAnswer, ScenarioAnswer
from lib.prompts.rendering import gold_prompt, scenario_prompt, template_sha256
from lib.run.files import sha256_of
from lib.run.folder import forget_checkpoints, held, run_of
from lib.run.manifest import PLAN_SETTINGS, forget_top_up, read_manifest, require_sound_records
from lib.schema import WEIGHT_OF, Message, Rubric, RubricAttributes, Sample, SampleMetadata, Seed, Slot
from lib.settings import Settings, from_root

SEEDS_A_CHECKPOINT = 25
SYSTEM_PROMPT = "You are an expert tutor helping a student who is confused after your initial explanation."


def generate_samples(seed_file: SeedFile, topics: Topics, settings: Settings) -> Tally:
    """Make every sample of the plan, or replay it, and write the run's files.

    Raises RunFailed when fewer than `min_call_success` could be made, ProviderError when none can, RunError when the folder is busy,
    BenchmarkError when the file that the gates will need can't be used.
    """
    with held(run_of(settings)):
        return _generated(seed_file, topics, settings)


def _generated(seed_file: SeedFile, topics: Topics, settings: Settings) -> Tally:
    run, seeds = run_of(settings), {seed.row: seed for seed in seed_file.seeds}
    require_sound_records(run)
    topics_sha256 = sha256_of(from_root(settings.topics_csv))
    if settings.benchmark_csv:  # the gates need it only later, but nothing is to be paid before it can be read
        read_benchmark(from_root(settings.benchmark_csv))
    remarks = [*_seed_remarks(seed_file, settings), *_topic_remarks(topics, settings), *_plan_remarks(settings)]

    async def make(ask: Asker, slot: Slot) -> Sample:
        return await make_sample(ask, slot, seeds[slot.seed_row])

    work = Pass(
        verb="made",
        total=settings.planned_samples,
        targets={Sample: run.generated},
        is_own=lambda failure: failure.stage in ("scenario", "gold", "repair"),
        chunk=SEEDS_A_CHECKPOINT * settings.samples_per_seed,
        stages=("scenario",),
    )
    tally = work_through(plan(seed_file.seeds, topics, settings), make, work=work, settings=settings)
    forget_top_up(run)
    forget_checkpoints(run, beyond=math.ceil(work.total / work.chunk))
    tally = replace(tally, remarks=(*remarks, *tally.remarks))
    record(
        tally,
        "generation",
        settings,
        inputs_sha256={"seeds": seed_file.sha256, "topics": topics_sha256},
        seeds={"usable": len(seed_file.seeds), "set_aside": seed_file.reasons, "rubrics_deleted": seed_file.rubrics_deleted},
        prompt_sha256={stage: template_sha256(stage) for stage in ("scenario", "gold")},
    )
    return require_enough(tally, settings)


async def make_sample(ask: Asker, slot: Slot, seed: Seed) -> Sample:
    """Make one sample with two calls. Raises CallFailed when either can't be had."""
    settings = ask.settings
    scenario = await ask(
        Call(
            slot.id, "scenario", settings.model, scenario_prompt(slot, seed), ScenarioAnswer, settings.max_tokens, settings.scenario_effort
        )
    )
    rubrics = tuple(_rubric(number, answer) for number, answer in enumerate(scenario.answer.rubrics, start=1))
    shown = rubrics if settings.show_rubrics_to_tutor else ()
    prompt = gold_prompt(slot, scenario.answer, rubrics=shown)
    gold = await ask(Call(slot.id, "gold", settings.model, prompt, GoldAnswer, settings.max_tokens, settings.gold_effort))
    return _sample(slot, seed, scenario.answer, rubrics, gold.answer.response, ask=ask, models=(scenario.model, gold.model))


def _seed_remarks(seed_file: SeedFile, settings: Settings) -> list[str]:
    if (have := len(seed_file.seeds)) >= settings.num_seeds:
        return [*seed_file.remarks]
    return [*seed_file.remarks, f"{settings.num_seeds} seeds were asked for and {have} are usable: seeds are reused in turn."]


def _topic_remarks(topics: Topics, settings: Settings) -> list[str]:
    without = [subject for subject in settings.subjects if subject not in topics]
    return [f"topics_csv has no topics for {', '.join(without)}: the model chose them."] if without else []


def _plan_remarks(settings: Settings) -> list[str]:
    before = read_manifest(run_of(settings)).get("generation", {}).get("settings", {})
    now = settings.model_dump(mode="json")
    changed = [name for name in PLAN_SETTINGS if before and before.get(name) != now[name]]
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


def _sample(
    slot: Slot, seed: Seed, scenario: ScenarioAnswer, rubrics: tuple[Rubric, ...], response: str, *, ask: Asker, models: tuple[str, str]
) -> Sample:
    user = f"## Question\n{scenario.question}\n\n## My Explanation\n{scenario.explanation}\n\n## Student Follow-up\n{scenario.follow_up}"
    return Sample(
        id=slot.id,
        messages=(
            Message(role="system", content=SYSTEM_PROMPT),
            Message(role="user", content=user),
            Message(role="assistant", content=response),
        ),
        metadata=SampleMetadata(
            subject=slot.subject,
            topic=slot.topic or scenario.topic,
            level=slot.level,
            misconception_type=slot.misconception_type,
            misconception=scenario.misconception,
            question=scenario.question,
            explanation=scenario.explanation,
            follow_up=scenario.follow_up,
            rubrics=rubrics,
            style=slot.style,
            seed_row=seed.row,
            seed_sha256=seed.sha256,
            seed_prompt_sha256=seed.prompt_sha256,
            origin=slot.origin,
            provider=ask.provider.id,
            models=dict(zip(("scenario", "gold"), models, strict=True)),
            prompt_sha256={"scenario": template_sha256("scenario"), "gold": template_sha256("gold")},
            notice=ask.provider.notice,
        ),
    )
