"""A run and its plan -> calls, tokens, US dollars and minutes, before anything is spent.

Input is counted from prompts as they are sent. Output and time are what each stage took in this run so far. Before the first reply they
are what the prompts were measured to give, with room for thinking. Topping up, and answers that are asked for again, are not included.
"""

import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lib.errors import counted
from lib.generate.calls import Questions, questions
from lib.generate.inputs import Plan
from lib.generate.minutes import minutes, seconds_a_call, steps_of
from lib.generate.unpaid import unpaid_calls
from lib.generate.usage import StageEstimate, output_tokens, seen_in, stage_estimate
from lib.llm.addresses import address, addresses, stages_asked, whom_it_asks
from lib.llm.budget import CHARACTERS_PER_TOKEN
from lib.llm.call import wire_schema
from lib.llm.journal_file import JournalError
from lib.llm.ledger import ledger
from lib.prompts.answers import GoldAnswer, JudgementAnswer, MisstatedAnswer, ScenarioAnswer, SpoiledAnswer, VerificationAnswer
from lib.prompts.rendering import Stage, scenario_prompt, template_text
from lib.run.run import Run
from lib.settings import Settings

SLOTS_SAMPLED = 200
WRITTEN_TOKENS = 900  # what a scenario and its response add to the later prompts
MOST_MINUTES = 180  # that are shown; more are shown as hours
SECOND_VOTE_SHARE = 0.25  # of the judgements, further ones where it is close; 5 of 23 in a trial (Nov 2026)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a whole run uses, from scratch."""

    stages: tuple[StageEstimate, ...]
    minutes: tuple[float, float]
    measured: str  # what is known from this run's own replies: "", "tokens", or "tokens and time"
    is_local: bool
    samples: int
    budget_usd: float
    spent_usd: float = 0.0  # in this run so far, topping up and prompts that were tried included
    whom: str = ""  # the models and the hosts that are asked
    batches: int = 0  # that wait for one another; 0 in live mode

    @property
    def cost_usd(self) -> tuple[float, float]:
        return sum(stage.cost_usd[0] for stage in self.stages), sum(stage.cost_usd[1] for stage in self.stages)

    @property
    def left_usd(self) -> tuple[float, float]:
        """The cost of the calls that are not paid for yet."""
        return sum(stage.left_usd[0] for stage in self.stages), sum(stage.left_usd[1] for stage in self.stages)

    @property
    def remarks(self) -> list[str]:
        if self.spent_usd + self.left_usd[1] <= self.budget_usd:
            return []
        return [f"budget_usd = {self.budget_usd:g} may not be enough; the run stops there, and can be continued with a larger one."]

    def __str__(self) -> str:
        calls = sum(stage.calls for stage in self.stages)
        money = "free (embedded model)" if self.is_local else _dollars(self.cost_usd)
        left = f"{_dollars(self.left_usd)} are left to pay" if self.left_usd[1] else "nothing is left to pay"
        paid = f"; ${self.spent_usd:,.2f} are spent, {left}" if self.spent_usd else ""
        source = f"{self.measured} as measured in this run so far" if self.measured else "as is usual; nothing is measured yet"
        whom = f"asked: {self.whom}\n" if self.whom else ""
        return f"{whom}{counted(self.samples, 'sample')}: {counted(calls, 'call')}, {money}, {self._time} ({source}){paid}"

    @property
    def _time(self) -> str:
        if self.batches:
            return f"{self.batches} batches one after the other, each within an hour as a rule and 24 hours at most"
        unit, one = ("hour", 60) if self.minutes[1] > MOST_MINUTES else ("minute", 1)
        low, high = (round(minutes / one) for minutes in self.minutes)
        if not high:
            return "less than a minute"
        if not low:
            return f"up to {counted(high, unit)}"
        return f"about {counted(high, unit)}" if low == high else f"about {low} to {high:,} {unit}s"

    def rows(self) -> list[dict[str, Any]]:
        """Return the stages as rows of a table."""
        return [
            {
                "stage": stage.stage,
                "model": stage.model,
                "calls": f"{stage.calls:,}",
                "input tokens": f"{stage.input_tokens:,}",
                "output tokens": f"{stage.output_tokens[0]:,} to {stage.output_tokens[1]:,}",
                "US dollars": f"{stage.cost_usd[0]:,.2f} to {stage.cost_usd[1]:,.2f}",
            }
            for stage in self.stages
        ]


def estimate(run: Run, plan: Plan) -> Estimate:
    """Return what the whole run would use.

    Raises PriceError for a model without a listed price, and RunError when the run that `scenarios_from` names does not fit.
    """
    settings, seen = run.settings, seen_in(run)
    asked = questions(run, plan)
    calls, spent_usd = asked.calls(settings), 0.0
    with suppress(JournalError):  # generating mends a damaged journal, and reports it
        spent_usd = sum(line.cost_usd for line in ledger(run.journal))
    share = _share_judged_again(settings)
    stages = tuple(
        line
        for number, judge in enumerate(settings.judges)
        for line in _lines(with_judge(run, judge), plan, asked=asked, share=share)
        if not number or line.stage == "judge"
    )
    stages = tuple(sorted(stages, key=lambda line: list(calls).index(line.stage)))
    calls |= {"judge": calls["judge"] + math.ceil(share * calls["judge"])}
    accesses = {stage: address(settings, stage).access for stage in calls}
    local = {stage for stage in calls if all(found.access.is_local for found in addresses(settings, stage))}
    widths = {stage: 1 if stage in local else settings.max_concurrency for stage in calls}
    if "judge" not in local:
        widths["judge"] = max(1, widths["judge"] // _judges_at_one_place(settings))
    seconds = seconds_a_call(output_tokens(seen), seen=seen, local=local)
    steps = steps_of(calls, judges_again=bool(share))
    return Estimate(
        stages,
        minutes=minutes(calls, seconds, steps=steps, widths=widths),
        measured="tokens and time" if any(mean.seconds for mean in seen.values()) else "tokens" if seen else "",
        is_local=local.issuperset(stage.stage for stage in stages),
        samples=len(plan),
        whom=whom_it_asks(settings, stages_asked(settings)),
        budget_usd=settings.budget_usd,
        spent_usd=spent_usd,
        batches=sum(count for stage, count in steps.items() if accesses[stage].mode == "batch"),
    )


def _share_judged_again(settings: Settings) -> float:
    """Return the share of the judgements that are close, so that the judge is asked again. A panel is not."""
    again = settings.second_vote and settings.votes == len(settings.judges) == 1 and not address(settings, "judge").is_embedded
    return SECOND_VOTE_SHARE if again else 0.0


def _judges_at_one_place(settings: Settings) -> int:
    """Return how many judges share an endpoint, and so its window of calls."""
    return max(Counter(found.access for found in addresses(settings, "judge")).values())


def with_judge(run: Run, judge: str) -> Run:
    """Return the run with one judge of its panel alone."""
    return Run(run.settings.model_copy(update={"judge_model": judge})) if len(run.settings.judges) > 1 else run


def _lines(run: Run, plan: Plan, *, asked: Questions, share: float) -> list[StageEstimate]:
    """Return a line for each stage that has calls. A `share` of the judgements is made again."""
    calls = left = asked.calls(run.settings)
    with suppress(JournalError):
        left = unpaid_calls(run, plan, asked=asked)
    further = {"judge": math.ceil(share * calls["judge"])}
    estimated = partial(stage_estimate, settings=run.settings, seen=seen_in(run))
    return [
        replace(
            estimated(stage, calls=calls[stage] + further.get(stage, 0), characters=characters, further=further.get(stage, 0)),
            left=(left[stage], left[stage] + (math.ceil(share * left[stage]) if stage in further else 0)),
        )
        for stage, characters in _characters(plan).items()
        if calls[stage]
    ]


def _dollars(span: tuple[float, float]) -> str:
    return "${:,.2f} to ${:,.2f}".format(*span)


def _characters(plan: Plan) -> dict[Stage, float]:
    """Return the length of one prompt of each stage, with its schema."""
    prompts = [scenario_prompt(slot, plan.seed_of(slot)) for slot in plan.first(SLOTS_SAMPLED)]
    written = WRITTEN_TOKENS * CHARACTERS_PER_TOKEN
    return {
        "scenario": sum(len(one.system) + len(one.user) for one in prompts) / len(prompts) + wire_schema(ScenarioAnswer).characters,
        "verify": len(template_text("verify")) + written + wire_schema(VerificationAnswer).characters,
        "misstate": len(template_text("misstate")) + written + wire_schema(MisstatedAnswer).characters,
        "gold": len(template_text("gold")) + written + wire_schema(GoldAnswer).characters,
        "judge": len(template_text("judge")) + 2 * written + wire_schema(JudgementAnswer).characters,
        "criterion": len(template_text("judge")) + 2 * written + wire_schema(JudgementAnswer).characters,
        "spoil": len(template_text("spoil")) + 2 * written + wire_schema(SpoiledAnswer).characters,
    }
