"""A run and its plan -> calls, tokens, US dollars and minutes, before anything is spent.

Input is counted from prompts as they are sent. Output is what each stage used in this run so far. Before the first reply it is what the
prompts were measured to give, with room for thinking. Topping up, and answers that are asked for again, are not included.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lib.errors import counted
from lib.generate.inputs import Plan
from lib.generate.verify import misstated_count
from lib.llm.ask import SETTINGS_OF
from lib.llm.budget import CHARACTERS_PER_TOKEN, price_for
from lib.llm.call import Usage, wire_schema
from lib.llm.journal_file import JournalError
from lib.llm.ledger import ledger
from lib.llm.provider import chosen
from lib.prompts.answers import GoldAnswer, JudgementAnswer, MisstatedAnswer, ScenarioAnswer, SpoiledAnswer, VerificationAnswer
from lib.prompts.rendering import Stage, scenario_prompt, template_text
from lib.run.run import Run
from lib.settings import Settings

# Output tokens of one answer, low and high end. The JSON of scenario, verification, gold response and judgement alone took about 1,230,
# 630, 230 and 640 tokens (mean of 24, 24, 23 and 23 trials, Nov 2026). The rest is room for thinking, which was not measured.
OUTPUT_TOKENS: dict[Stage, tuple[int, int]] = {
    "scenario": (1_500, 5_000),
    "verify": (1_000, 4_000),
    "misstate": (350, 2_500),
    "gold": (400, 3_000),
    "judge": (800, 2_500),
    "spoil": (350, 2_500),
}
SECONDS_A_CALL: dict[Stage, tuple[float, float]] = {
    "scenario": (15, 60), "verify": (10, 50), "misstate": (8, 40), "gold": (8, 40), "judge": (10, 30), "spoil": (8, 40),
}  # fmt: skip
SECONDS_A_LOCAL_CALL = 12.0
SLOTS_SAMPLED = 200
WRITTEN_TOKENS = 900  # what a scenario and its response add to the later prompts
SECOND_VOTE_SHARE = 0.25  # of the judgements, further ones where it is close; 5 of 23 in a trial (Nov 2026)
WRITTEN_SHARE = 4 / 7  # of the kinds of planted failures, those that a model writes


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """What one stage uses. Ranges are (low, high)."""

    stage: Stage
    model: str
    calls: int
    input_tokens: int
    output_tokens: tuple[int, int]
    cost_usd: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a whole run uses, from scratch."""

    stages: tuple[StageEstimate, ...]
    minutes: tuple[float, float]
    measured: bool  # true when output lengths come from this run's own replies
    is_local: bool
    samples: int
    budget_usd: float

    @property
    def cost_usd(self) -> tuple[float, float]:
        return sum(stage.cost_usd[0] for stage in self.stages), sum(stage.cost_usd[1] for stage in self.stages)

    @property
    def remarks(self) -> list[str]:
        if self.cost_usd[1] <= self.budget_usd:
            return []
        return [f"budget_usd = {self.budget_usd:g} may not be enough; the run stops there, and can be continued with a larger one."]

    def __str__(self) -> str:
        calls = sum(stage.calls for stage in self.stages)
        money = "free (embedded model)" if self.is_local else "${:,.2f} to ${:,.2f}".format(*self.cost_usd)
        source = "output as measured in this run" if self.measured else "output as these prompts usually give"
        low, high = (f"{minutes:.0f}" for minutes in self.minutes)
        minutes = "less than a minute" if high == "0" else f"about {low if low == high else f'{low} to {high}'} minutes"
        minutes = f"up to {high} minutes" if low == "0" and high != "0" else minutes
        return f"{counted(self.samples, 'sample')}: {counted(calls, 'call')}, {money}, {minutes} ({source})"

    def rows(self) -> list[dict[str, Any]]:
        """Return the stages as rows of a table."""
        return [
            {
                "stage": stage.stage,
                "model": "embedded" if self.is_local else stage.model,
                "calls": f"{stage.calls:,}",
                "input tokens": f"{stage.input_tokens:,}",
                "output tokens": f"{stage.output_tokens[0]:,} to {stage.output_tokens[1]:,}",
                "US dollars": f"{stage.cost_usd[0]:,.2f} to {stage.cost_usd[1]:,.2f}",
            }
            for stage in self.stages
        ]


def estimate(run: Run, plan: Plan) -> Estimate:
    """Return what the whole run would use. Raises PriceError for a model without a listed price."""
    settings = run.settings
    is_local = chosen(settings) == "local"
    seen = output_seen(run)
    stages = tuple(_stages(plan, settings, seen=seen, is_local=is_local))
    width = 1 if is_local else settings.max_concurrency

    def minutes(end: int) -> float:
        return sum(stage.calls * (SECONDS_A_LOCAL_CALL if is_local else SECONDS_A_CALL[stage.stage][end]) for stage in stages) / width / 60

    return Estimate(stages, (minutes(0), minutes(1)), bool(seen), is_local, len(plan), settings.budget_usd)


def output_seen(run: Run) -> dict[str, float]:
    """Return the mean output tokens of each stage so far. There are none for a damaged journal, which generating mends and reports."""
    try:
        return {line.stage: line.usage.output / line.calls for line in ledger(run.journal) if line.calls}
    except JournalError:
        return {}


def _stages(plan: Plan, settings: Settings, *, seen: dict[str, float], is_local: bool) -> Iterator[StageEstimate]:
    prompts = [scenario_prompt(slot, plan.seed_of(slot)) for slot in plan.first(SLOTS_SAMPLED)]
    written = WRITTEN_TOKENS * CHARACTERS_PER_TOKEN
    made, planted = len(plan), settings.planned_planted
    judged = (made + planted) * settings.votes
    second = math.ceil(SECOND_VOTE_SHARE * judged) if settings.votes == 1 and settings.second_vote and not is_local else 0
    verified, misstated = (made, misstated_count(settings)) if settings.verify_scenarios and not is_local else (0, 0)
    # stage -> calls, and characters of one prompt with its schema
    uses: dict[Stage, tuple[int, float]] = {
        "scenario": (made, sum(len(one.system) + len(one.user) for one in prompts) / len(prompts) + wire_schema(ScenarioAnswer).characters),
        "verify": (verified + misstated, len(template_text("verify")) + written + wire_schema(VerificationAnswer).characters),
        "misstate": (misstated, len(template_text("misstate")) + written + wire_schema(MisstatedAnswer).characters),
        "gold": (made, len(template_text("gold")) + written + wire_schema(GoldAnswer).characters),
        "judge": (judged + second, len(template_text("judge")) + 2 * written + wire_schema(JudgementAnswer).characters),
        "spoil": (math.ceil(planted * WRITTEN_SHARE), len(template_text("spoil")) + 2 * written + wire_schema(SpoiledAnswer).characters),
    }
    for stage, (calls, characters) in uses.items():
        if calls:
            yield stage_estimate(stage, calls=calls, characters=characters, settings=settings, seen=seen, is_local=is_local)


def stage_estimate(
    stage: Stage, *, calls: int, characters: float, settings: Settings, seen: Mapping[str, float], is_local: bool
) -> StageEstimate:
    """Return what a stage uses. `characters` are those of a prompt with its schema.

    `seen` has the output tokens of an answer in this run so far, by stage.
    """
    model = getattr(settings, SETTINGS_OF[stage][0])
    price, tokens_in = price_for(model, settings, is_local=is_local), int(calls * characters / CHARACTERS_PER_TOKEN)
    low, high = (seen[stage] * 0.8, seen[stage] * 1.25) if stage in seen else OUTPUT_TOKENS[stage]
    output = int(calls * low), int(calls * high)
    cost = price.cost_usd(Usage(tokens_in, output[0])), price.cost_usd(Usage(tokens_in, output[1]))
    return StageEstimate(stage, model, calls, tokens_in, output, cost)
