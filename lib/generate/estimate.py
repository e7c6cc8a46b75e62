"""A run and its plan -> calls, tokens, US dollars and minutes, before anything is spent.

Input is counted from prompts as they are sent. Output and seconds are what each stage took in this run so far. Before the first reply they
are what the prompts were measured to give, with room for thinking. Topping up, and answers that are asked for again, are not included.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lib.errors import counted
from lib.generate.dealing import written_spoilings
from lib.generate.inputs import Plan, what_differs
from lib.generate.reuse import scenarios_of
from lib.generate.usage import ORDER, Seen, StageEstimate, changed_stages, seen_in, spent_so_far, stage_estimate
from lib.generate.verify import misstated_count
from lib.llm.budget import CHARACTERS_PER_TOKEN
from lib.llm.call import wire_schema
from lib.llm.provider import chosen
from lib.prompts.answers import GoldAnswer, JudgementAnswer, MisstatedAnswer, ScenarioAnswer, SpoiledAnswer, VerificationAnswer
from lib.prompts.rendering import Stage, scenario_prompt, template_text
from lib.run.manifest import read_manifest
from lib.run.run import Run
from lib.settings import Settings

SLOTS_SAMPLED = 200
WRITTEN_TOKENS = 900  # what a scenario and its response add to the later prompts
SECOND_VOTE_SHARE = 0.25  # of the judgements, further ones where it is close; 5 of 23 in a trial (Nov 2026)
PASSES: tuple[tuple[Stage, ...], ...] = (("scenario", "verify", "gold"), ("spoil", "judge"))  # the calls of one sample, one after another


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a whole run uses, from scratch."""

    stages: tuple[StageEstimate, ...]
    minutes: tuple[float, float]
    measured: bool  # true when output lengths come from this run's own replies
    is_local: bool
    samples: int
    budget_usd: float
    spent_usd: float  # that the run has cost so far

    @property
    def cost_usd(self) -> tuple[float, float]:
        return sum(stage.cost_usd[0] for stage in self.stages), sum(stage.cost_usd[1] for stage in self.stages)

    @property
    def left_usd(self) -> tuple[float, float]:
        """What the calls cost that are not paid yet."""
        return sum(stage.left_usd[0] for stage in self.stages), sum(stage.left_usd[1] for stage in self.stages)

    @property
    def remarks(self) -> list[str]:
        low, high = (self.spent_usd + usd for usd in self.left_usd)
        if high <= self.budget_usd or low > self.budget_usd:  # with the second, the run is refused, and that says more
            return []
        return [f"budget_usd = {self.budget_usd:g} may not be enough; the run stops there, and can be continued with a larger one."]

    def __str__(self) -> str:
        calls = sum(stage.calls for stage in self.stages)
        money = "free (embedded model)" if self.is_local else "${:,.2f} to ${:,.2f}".format(*self.cost_usd)
        source = "output as measured in this run" if self.measured else "output as these prompts usually give"
        low, high = (f"{minutes:.0f}" for minutes in self.minutes)
        minutes = "less than a minute" if high == "0" else f"about {low if low == high else f'{low} to {high}'} minutes"
        minutes = f"up to {high} minutes" if low == "0" and high != "0" else minutes
        spent = f"; ${self.spent_usd:,.2f} are spent, {'${:,.2f} to ${:,.2f}'.format(*self.left_usd)} are left" if self.spent_usd else ""
        return f"{counted(self.samples, 'sample')}: {counted(calls, 'call')}, {money}, {minutes} ({source}){spent}"

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
    is_local, seen = chosen(settings) == "local", seen_in(run)
    reused = scenarios_of(run, inputs_sha256={})
    made = read_manifest(run).generation
    is_another = bool(made.settings) and any(what_differs(run, made, inputs_sha256={}))
    changed = set(ORDER) if is_another else changed_stages(run)
    stages = tuple(
        replace(stage, paid=0) if stage.stage in changed else stage
        for stage in _stages(plan, settings, seen=seen, is_local=is_local, reused=len(reused) if reused else 0)
    )
    width = 1 if is_local else settings.max_concurrency
    minutes = _minutes(stages, width=width, end=0), _minutes(stages, width=width, end=1)
    spent_usd = sum(line.cost_usd for line in spent_so_far(run))
    return Estimate(stages, minutes, bool(seen), is_local, len(plan), settings.budget_usd, spent_usd)


def _minutes(stages: Sequence[StageEstimate], *, width: int, end: int) -> float:
    """Return how long the passes take with `width` calls in flight. None is shorter than the calls of one sample in a row."""
    took = {stage.stage: stage for stage in stages}
    seconds = 0.0
    for names in PASSES:
        here = [took[name] for name in (*names, "misstate") if name in took and (name != "misstate" or names[0] == "scenario")]
        in_all, in_a_row = sum(one.calls * one.seconds[end] for one in here), sum(one.seconds[end] for one in here if one.stage in names)
        seconds += max(in_all / width, in_a_row)
    return seconds / 60


def _stages(plan: Plan, settings: Settings, *, seen: Mapping[str, Seen], is_local: bool, reused: int) -> Iterator[StageEstimate]:
    """Yield the stages that have calls. `reused` scenarios come from another run."""
    prompts = [scenario_prompt(slot, plan.seed_of(slot)) for slot in plan.first(SLOTS_SAMPLED)]
    written = WRITTEN_TOKENS * CHARACTERS_PER_TOKEN
    made, planted = len(plan), settings.planned_planted
    judged = (made + planted) * settings.votes
    second = math.ceil(SECOND_VOTE_SHARE * judged) if settings.votes == 1 and settings.second_vote and not is_local else 0
    written_now = max(0, made - reused)
    verified, misstated = (written_now, misstated_count(settings)) if settings.verify_scenarios and not is_local else (0, 0)
    misstated = min(misstated, written_now)
    spoiled = written_spoilings(planted, random_seed=settings.random_seed)
    # stage -> calls, and characters of one prompt with its schema
    uses: dict[Stage, tuple[int, float]] = {
        "scenario": (
            written_now,
            sum(len(one.system) + len(one.user) for one in prompts) / len(prompts) + wire_schema(ScenarioAnswer).characters,
        ),
        "verify": (verified + misstated, len(template_text("verify")) + written + wire_schema(VerificationAnswer).characters),
        "misstate": (misstated, len(template_text("misstate")) + written + wire_schema(MisstatedAnswer).characters),
        "gold": (made, len(template_text("gold")) + written + wire_schema(GoldAnswer).characters),
        "judge": (judged + second, len(template_text("judge")) + 2 * written + wire_schema(JudgementAnswer).characters),
        "spoil": (spoiled, len(template_text("spoil")) + 2 * written + wire_schema(SpoiledAnswer).characters),
    }
    for stage, (calls, characters) in uses.items():
        if calls:
            least = judged if stage == "judge" else calls
            yield stage_estimate(stage, calls=calls, characters=characters, settings=settings, seen=seen, is_local=is_local, least=least)
