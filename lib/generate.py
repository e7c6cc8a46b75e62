"""slot -> scenario and rubrics -> gold response -> sample; and all slots of a plan, through one window."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lib.errors import KitError
from lib.llm.ask import Asker, for_each, open_asker
from lib.llm.call import Call, CallFailed
from lib.llm.journal import ledger
from lib.loop import finish
from lib.plan import Topics, plan
from lib.progress import progress_bar
from lib.prompts import gold_prompt, scenario_prompt, template_sha256
from lib.run import OrderedLines, Run, held, json_line, read_jsonl, run_of, update_manifest, write_jsonl
from lib.schema import (
    WEIGHT_OF,
    Failure,
    GoldAnswer,
    Message,
    Rubric,
    RubricAnswer,
    RubricAttributes,
    Sample,
    SampleMetadata,
    ScenarioAnswer,
    Seed,
    Slot,
)
from lib.seeds import SeedFile
from lib.settings import Settings

SEEDS_A_CHECKPOINT = 25
SYSTEM_PROMPT = "You are an expert tutor helping a student who is confused after your initial explanation."


class RunFailed(KitError):
    """Too few calls succeeded. What was made is on disk, and running again asks only for what is missing."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What a run of the plan came to. planned = made + failed."""

    planned: int
    made: int
    failures: tuple[Failure, ...]
    replayed: int
    asked: int
    cost_usd: float
    seconds: float
    provider: str
    notice: str
    remarks: tuple[str, ...]

    def __str__(self) -> str:
        reused = f", {self.replayed:,} replies reused" if self.replayed else ""
        return f"{self.made:,} of {self.planned:,} samples made, {len(self.failures):,} failed; {self.asked:,} calls{reused}, ${self.cost_usd:.2f}, {self.seconds:.0f} s"


def generate_samples(seed_file: SeedFile, topics: Topics, settings: Settings) -> Generation:
    """Make every sample of the plan, or replay it, and write the run's files.

    Raises RunFailed when fewer than `min_call_success` could be made, ProviderError when none can, RunError when the folder is busy.
    """
    run = run_of(settings)
    progress = [0]
    try:
        with held(run):
            generation = finish(_generate(seed_file, topics, settings, run, progress))
    except KeyboardInterrupt:
        raise RunFailed(f"Interrupted: {progress[0]:,} of {settings.planned_samples:,} made; run again to continue.") from None
    _record(generation, seed_file, settings, run)
    if generation.made < settings.min_call_success * generation.planned:
        raise RunFailed(too_few("samples could be made", generation.made, generation.planned, generation.failures))
    return generation


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


def too_few(what: str, done: int, asked: int, failures: Sequence[Failure]) -> str:
    """Return why the run counts as failed: the most frequent reasons, and what to do."""
    from collections import Counter

    reasons = ", ".join(f"{count} × {reason}" for reason, count in Counter(failure.reason for failure in failures).most_common(3))
    first = failures[0] if failures else None
    example = f" First: {first.id}, {first.stage}: {first.detail}." if first else ""
    return f"Only {done:,} of {asked:,} {what} ({reasons}).{example} See failures.jsonl; run again to ask for the missing ones only."


async def _generate(seed_file: SeedFile, topics: Topics, settings: Settings, run: Run, progress: list[int]) -> Generation:
    seeds = {seed.row: seed for seed in seed_file.seeds}
    lines, failures = OrderedLines(), dict[int, Failure]()
    checkpoints = _Checkpoints(settings, run, lines)
    started = time.monotonic()
    async with open_asker(settings, journal=run.journal) as ask:
        with progress_bar(settings.planned_samples, description="Generating", unit="samples") as bar:

            async def work(index: int, slot: Slot) -> None:
                try:
                    sample = await make_sample(ask, slot, seeds[slot.seed_row])
                    lines.add(index, json_line(sample))
                    progress[0] += 1
                except CallFailed as failed:
                    cost = round(ask.journal.spent_usd(slot=slot.id), 6)
                    failures[index] = Failure(id=slot.id, stage=failed.stage, reason=failed.reason, detail=failed.detail, cost_usd=cost)
                    bar.set_postfix(failed=len(failures), refresh=False)
                checkpoints.done(index)
                bar.update(1)

            await for_each(work, plan(seed_file.seeds, topics, settings), width=ask.width)
        lines.write(run.generated)
        write_failures(run, [failures[index] for index in sorted(failures)], judging=False)
        made = len(lines)
        lines.close()
        return Generation(
            planned=settings.planned_samples,
            made=made,
            failures=tuple(failures[index] for index in sorted(failures)),
            replayed=ask.replayed,
            asked=ask.asked,
            cost_usd=ask.budget.spent_usd,
            seconds=time.monotonic() - started,
            provider=ask.provider.id,
            notice=ask.provider.notice,
            remarks=(*_seed_remarks(seed_file, settings), *ask.remarks),
        )


def _seed_remarks(seed_file: SeedFile, settings: Settings) -> list[str]:
    if (have := len(seed_file.seeds)) >= settings.num_seeds:
        return []
    return [f"{settings.num_seeds} seeds were asked for and {have} are usable: seeds are reused in turn."]


def write_failures(run: Run, failures: Sequence[Failure], *, judging: bool) -> None:
    """Write `failures.jsonl`: generating starts the file anew, judging replaces only its own."""
    earlier = list(read_jsonl(run.failures, Failure, made_by="01_generate")) if judging and run.failures.exists() else []
    write_jsonl(run.failures, [failure for failure in earlier if failure.stage != "judge"] + list(failures))


class _Checkpoints:
    """Writes `_checkpoint_<k>.jsonl` as soon as all slots of its 25 seeds are done, whichever others are still under way."""

    def __init__(self, settings: Settings, run: Run, lines: OrderedLines) -> None:
        self._run, self._lines, self._size = run, lines, SEEDS_A_CHECKPOINT * settings.samples_per_seed
        whole, rest = divmod(settings.planned_samples, self._size)
        self._left = dict.fromkeys(range(1, whole + 1), self._size) | ({whole + 1: rest} if rest else {})

    def done(self, index: int) -> None:
        number = index // self._size + 1
        self._left[number] -= 1
        if not self._left[number]:
            self._lines.write(self._run.checkpoint(number), first=(number - 1) * self._size, last=number * self._size - 1)


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
            provider=ask.provider.id,
            models=dict(zip(("scenario", "gold"), models, strict=True)),
            prompt_sha256={"scenario": template_sha256("scenario"), "gold": template_sha256("gold")},
            notice=ask.provider.notice,
        ),
    )


def _record(generation: Generation, seed_file: SeedFile, settings: Settings, run: Run) -> None:
    update_manifest(
        run,
        "generation",
        {
            "settings": settings.model_dump(mode="json"),
            "inputs_sha256": {seed_file.path.name: seed_file.sha256, "topics": hashlib.sha256(_topic_bytes(settings)).hexdigest()},
            "prompt_sha256": {stage: template_sha256(stage) for stage in ("scenario", "gold")},
            "seeds": {"usable": len(seed_file.seeds), "set_aside": seed_file.reasons, "rubrics_deleted": seed_file.rubrics_deleted},
            "counts": {"planned": generation.planned, "made": generation.made, "failed": len(generation.failures)},
            "calls": {"asked": generation.asked, "replayed": generation.replayed},
            "provider": generation.provider,
            "notice": generation.notice,
            "seconds": round(generation.seconds, 1),
            "ledger": ledger_rows(run),
        },
    )


def ledger_rows(run: Run) -> list[dict[str, object]]:
    """Return the run's ledger as it stands in the manifest: stage, model, calls, tokens, US dollars."""
    return [
        {
            "stage": line.stage,
            "model": line.model,
            "calls": line.calls,
            "input_tokens": line.usage.input,
            "output_tokens": line.usage.output,
            "cache_read_tokens": line.usage.cache_read,
            "cache_write_tokens": line.usage.cache_write,
            "cost_usd": round(line.cost_usd, 6),
        }
        for line in ledger(run.journal)
    ]


def _topic_bytes(settings: Settings) -> bytes:
    from lib.settings import from_root

    return from_root(settings.topics_csv).read_bytes()
