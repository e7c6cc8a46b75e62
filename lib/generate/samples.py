"""slot -> scenario and rubrics -> verified -> gold response -> sample; and all slots of a plan, through one window of calls."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from lib.generate.benchmark import read_benchmark
from lib.generate.guards import replacement_remarks, require_affordable, require_meant_subjects, require_same_plan
from lib.generate.inputs import Plan
from lib.generate.objections import objection_for
from lib.generate.reuse import scenarios_of
from lib.generate.verify import dropped, planted_explanation, to_misstate, verify
from lib.llm.ask import Asker
from lib.llm.call import Reply, no_objection
from lib.llm.tally import Tally
from lib.llm.work import Pass, work_through
from lib.prompts.answers import GoldAnswer, RubricAnswer, ScenarioAnswer
from lib.prompts.rendering import Template, gold_prompt, gold_template, scenario_prompt, template_sha256
from lib.run.files import RunError, is_file, sha256_of
from lib.run.lock import held
from lib.run.records import dropped_scenarios, forget_results, forget_top_up, remove, require_sound_records
from lib.run.run import Run
from lib.schema import (
    WEIGHT_OF,
    DroppedScenario,
    Message,
    Misstating,
    PlantedExplanation,
    Rubric,
    RubricAttributes,
    Sample,
    SampleMetadata,
    Seed,
    Slot,
    Verification,
)
from lib.settings import Settings, from_root

Made = tuple[Sample | DroppedScenario | PlantedExplanation, ...]  # the first is what became of the slot
SEEDS_A_CHECKPOINT = 25
SYSTEM_PROMPT = "You are an expert tutor helping a student who is confused after your initial explanation."


def generate_samples(run: Run, plan: Plan) -> Tally:
    """Make every sample of the plan, or replay it from the journal, and write the run's files.

    Raises RunFailed when fewer than `min_call_success` could be made, ProviderError when none can, RunError when the folder is busy,
    BenchmarkError when the file that the gates will need can't be used, and what the guards raise before anything is paid.
    """
    with held(run):
        return _generated(run, plan)


def _generated(run: Run, plan: Plan) -> Tally:
    settings = run.settings
    if other := [name for name in Settings.names_of("input", "plan") if getattr(settings, name) != getattr(plan.settings, name)]:
        raise RunError(f"The plan was read with another {', '.join(other)}: run the cell with read_plan again.")
    require_sound_records(run)
    inputs_sha256 = {"seeds": plan.seed_file.sha256, "topics": sha256_of(from_root(settings.topics_csv))}
    require_meant_subjects(plan)
    require_same_plan(run, inputs_sha256=inputs_sha256)
    require_affordable(run, plan)
    if settings.benchmark_csv:  # the gates need it only later, but nothing is paid before it can be read
        read_benchmark(from_root(settings.benchmark_csv))
    remarks = replacement_remarks(run)
    before = sha256_of(run.generated) if is_file(run.generated) else ""
    misstated, scenarios = to_misstate(plan), scenarios_of(run, inputs_sha256=inputs_sha256)

    async def make(ask: Asker, slot: Slot) -> Made:
        if scenarios and (made := await scenarios.sample_of(ask, slot)):
            return made
        return await make_sample(ask, slot, seed=plan.seed_of(slot), misstating=misstated.get(slot.id))

    work = Pass(
        verb="made",
        things=plan,
        total=len(plan),
        make=make,
        targets={Sample: run.generated, DroppedScenario: run.dropped_scenarios, PlantedExplanation: run.planted_explanations},
        is_own=lambda failure: failure.stage in ("scenario", "verify", "gold", "repair"),
        chunk=SEEDS_A_CHECKPOINT * settings.samples_per_seed,
        stages=("scenario", "gold"),
    )
    tally = counted_by_kind(work_through(run, work), work, reasons=(one.reason for one in dropped_scenarios(run, beyond=False)))
    if tally.keeps_files:
        return tally.require_enough(run)
    forget_top_up(run)
    if before not in ("", sha256_of(run.generated)):
        forget_results(run)
    for path in run.checkpoints_beyond(math.ceil(work.total / work.chunk)):
        remove(path)
    seeds = plan.seed_file
    tally.record(
        run,
        "generation",
        inputs_sha256=inputs_sha256,
        seeds={"usable": len(seeds.seeds), "set_aside": seeds.reasons, "rubrics_deleted": seeds.rubrics_deleted},
        prompt_sha256={name: template_sha256(name) for name in _templates(settings)},
    )
    return replace(tally, remarks=(*remarks, *tally.remarks, *_unchecked(run, tally))).require_enough(run)


def _unchecked(run: Run, tally: Tally) -> list[str]:
    """Return a remark when scenarios could not be verified."""
    if not (run.settings.verify_scenarios and tally.is_embedded):
        return []
    return ["Scenarios were neither checked nor verified (verify_scenarios), because the embedded model can do neither."]


def _templates(settings: Settings) -> list[Template]:
    """Return the names of the templates that a run uses before its samples are judged."""
    names: list[Template] = ["scenario", "gold"]
    names += ["verify", "misstate"] if settings.verify_scenarios else []
    return names + (["control", "gold_control"] if settings.planned_controls else [])


async def make_sample(ask: Asker, slot: Slot, *, seed: Seed, misstating: Misstating | None = None) -> Made:
    """Make one sample of scenario, verification and gold response. A scenario that does not pass is returned as dropped.

    With `misstating`, a copy of its explanation with that error is verified too. Raises CallFailed when a reply can't be had.
    """
    embedded = ask.provider("scenario").is_embedded
    objection = no_objection if embedded else objection_for(slot)
    scenario = await ask("scenario", slot.id, prompt=scenario_prompt(slot, seed), answer=ScenarioAnswer, objection=objection)
    rubrics = tuple(_rubric(number, answer) for number, answer in enumerate(scenario.answer.rubrics, start=1))
    if not ask.settings.verify_scenarios or ask.provider("verify").is_embedded:
        return (await _answered(ask, slot, scenario=scenario, rubrics=rubrics, seed=seed, verification=None),)
    found = await verify(ask, slot, scenario=scenario.answer, rubrics=rubrics)
    if found.reason:
        return (dropped(slot, scenario.answer, rubrics=rubrics, found=found),)
    sample = await _answered(ask, slot, scenario=scenario, rubrics=found.rubrics, seed=seed, verification=found.record)
    planted = await planted_explanation(ask, slot, scenario=scenario.answer, rubrics=rubrics, misstating=misstating) if misstating else None
    return (sample, planted) if planted else (sample,)


async def _answered(
    ask: Asker, slot: Slot, *, scenario: Reply[ScenarioAnswer], rubrics: tuple[Rubric, ...], seed: Seed, verification: Verification | None
) -> Sample:
    """Return the sample with the gold response that is asked for here."""
    prompt = gold_prompt(slot, scenario.answer, rubrics=rubrics if ask.settings.show_rubrics_to_tutor else ())
    gold = await ask("gold", slot.id, prompt=prompt, answer=GoldAnswer)
    templates: tuple[Template, Template] = "control" if slot.is_control else "scenario", gold_template(slot)
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
            student=slot.student,
            verification=verification,
            seed_row=seed.row,
            seed_sha256=seed.sha256,
            seed_prompt_sha256=seed.prompt_sha256,
            origin=slot.origin,
            provider=ask.provider("gold").id,
            models={"scenario": scenario.model, "gold": gold.model},
            prompt_sha256={stage: template_sha256(name) for stage, name in zip(("scenario", "gold"), templates, strict=True)},
            notice=ask.provider("gold").notice,
        ),
    )


def counted_by_kind(tally: Tally, work: Pass, *, reasons: Iterable[str]) -> Tally:
    """Return the tally of a pass that makes samples. The scenarios that were dropped are counted apart, by reason."""
    return replace(tally, done=work.done[Sample], dropped=Counter(reasons))


def _rubric(number: int, answer: RubricAnswer) -> Rubric:
    attributes = RubricAttributes(
        severity=answer.severity,
        tutoring_skill=answer.tutoring_skill,
        eval_dimension=", ".join(dict.fromkeys(answer.eval_dimension)),
        explicitness=answer.explicitness,
        objectivity=answer.objectivity,
    )
    return Rubric(id=f"r{number}", criteria=answer.criteria, weight=WEIGHT_OF[answer.severity], attributes=attributes)
