"""settings and the real prompts -> calls, tokens, US dollars and minutes, before anything is spent.

Input is counted from prompts as they will be sent. Output is what the stage used in this run so far, if anything, else what the
prompts were measured to give (words written by a capable model for eight slots, plus room for thinking). Topping up is not in it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from lib.generate.plan import Topics, plan
from lib.generate.seeds import SeedFile
from lib.llm.ask import price_for
from lib.llm.budget import CHARACTERS_PER_TOKEN
from lib.llm.call import Usage, wire_schema
from lib.llm.journal import Spent, ledger
from lib.llm.journal_file import JournalError
from lib.llm.provider import chosen
from lib.prompts.answers import GoldAnswer, JudgementAnswer, ScenarioAnswer, SpoiledAnswer
from lib.prompts.rendering import Stage, scenario_prompt, template_text
from lib.run.folder import run_of
from lib.settings import Settings, planted_count

# Output tokens of one answer, low and high end. The JSON alone took 1,390, 280 and 680 tokens (mean of 8, 8 and 12 trials, Nov 2026);
# the rest is room for thinking, which nobody has measured here: after the first samples the run's own figures take over.
OUTPUT_TOKENS: dict[Stage, tuple[int, int]] = {
    "scenario": (1_500, 5_000),
    "gold": (400, 3_000),
    "judge": (800, 2_500),
    "spoil": (350, 2_500),
}
SECONDS_A_CALL: dict[Stage, tuple[float, float]] = {"scenario": (15, 60), "gold": (8, 40), "judge": (10, 30), "spoil": (8, 40)}
SLOTS_SAMPLED = 200
WRITTEN_SHARE = 4 / 7  # of the kinds of planted failures, those that a model writes


@dataclass(frozen=True, slots=True)
class StageEstimate:
    stage: Stage
    model: str
    calls: int
    input_tokens: int
    output_tokens: tuple[int, int]
    cost_usd: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Ranges are (low, high). `measured`: output lengths come from this run's own replies."""

    stages: tuple[StageEstimate, ...]
    minutes: tuple[float, float]
    measured: bool
    is_local: bool

    @property
    def cost_usd(self) -> tuple[float, float]:
        return sum(stage.cost_usd[0] for stage in self.stages), sum(stage.cost_usd[1] for stage in self.stages)

    def __str__(self) -> str:
        calls = sum(stage.calls for stage in self.stages)
        low, high = self.cost_usd
        money = "free (embedded model)" if self.is_local else f"${low:,.2f} to ${high:,.2f}"
        source = "output as measured in this run" if self.measured else "output as these prompts usually give"
        low_minutes, high_minutes = (f"{minutes:.0f}" for minutes in self.minutes)
        minutes = low_minutes if low_minutes == high_minutes else f"{low_minutes} to {high_minutes}"
        return f"{calls:,} calls, {money}, about {minutes} minutes ({source})"


def estimate(seed_file: SeedFile, topics: Topics, settings: Settings) -> Estimate:
    """Return what the whole run would use, from scratch. Raises PriceError for a model without a listed price."""
    is_local = chosen(settings) == "local"
    seen = {line.stage: line.usage.output / line.calls for line in _spent(settings) if line.calls}
    stages = tuple(_stages(seed_file, topics, settings, seen, is_local=is_local))
    width = 1 if is_local else settings.max_concurrency
    seconds = [sum(stage.calls * (12.0 if is_local else SECONDS_A_CALL[stage.stage][end]) for stage in stages) / width for end in (0, 1)]
    return Estimate(stages, (seconds[0] / 60, seconds[1] / 60), bool(seen), is_local)


def _spent(settings: Settings) -> list[Spent]:
    """Return the run's ledger; nothing when its journal is damaged, because generating mends it and says so."""
    try:
        return ledger(run_of(settings).journal)
    except JournalError:
        return []


def _stages(seed_file: SeedFile, topics: Topics, settings: Settings, seen: dict[str, float], *, is_local: bool) -> Iterator[StageEstimate]:
    seeds = {seed.row: seed for seed in seed_file.seeds}
    some = list(islice(plan(seed_file.seeds, topics, settings), SLOTS_SAMPLED))
    prompts = [scenario_prompt(slot, seeds[slot.seed_row]) for slot in some]
    scenario_input = sum(len(prompt.system) + len(prompt.user) for prompt in prompts) / len(prompts)
    written = 900 * CHARACTERS_PER_TOKEN  # what scenario and response bring into the later prompts
    characters: dict[Stage, float] = {
        "scenario": scenario_input + wire_schema(ScenarioAnswer).characters,
        "gold": len(template_text("gold")) + written + wire_schema(GoldAnswer).characters,
        "judge": len(template_text("judge")) + 2 * written + wire_schema(JudgementAnswer).characters,
        "spoil": len(template_text("spoil")) + 2 * written + wire_schema(SpoiledAnswer).characters,
    }
    made, planted = settings.planned_samples, planted_count(settings.planned_samples, settings.planted_share)
    calls_of: dict[Stage, int] = {
        "scenario": made,
        "gold": made,
        "judge": (made + planted) * settings.votes,
        "spoil": math.ceil(planted * WRITTEN_SHARE),
    }
    for stage, length in characters.items():
        model = settings.judge_model if stage == "judge" else settings.model
        calls, tokens = calls_of[stage], length / CHARACTERS_PER_TOKEN
        each = (seen[stage] * 0.8, seen[stage] * 1.25) if stage in seen else OUTPUT_TOKENS[stage]
        price = price_for(model, settings, is_local=is_local)
        output = (int(calls * each[0]), int(calls * each[1]))
        cost = (price.cost_usd(Usage(int(calls * tokens), output[0])), price.cost_usd(Usage(int(calls * tokens), output[1])))
        yield StageEstimate(stage, model, calls, int(calls * tokens), output, cost)
