"""A stage and its calls -> tokens and US dollars, as the run's journal shows them or as its prompts usually give."""

from collections.abc import Mapping
from dataclasses import dataclass

from lib.errors import KitError
from lib.llm.addresses import MAKING, address
from lib.llm.budget import CHARACTERS_PER_TOKEN, price_at
from lib.llm.call import Usage
from lib.llm.ledger import Mean, means
from lib.prompts.rendering import Stage
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
    "criterion": (200, 1_000),
    "answer": (200, 1_500),
    "spoil": (350, 2_500),
}


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """What one stage uses. Ranges are (low, high)."""

    stage: Stage
    model: str
    calls: int
    input_tokens: int
    output_tokens: tuple[int, int]
    cost_usd: tuple[float, float]
    least: int  # calls that are certain
    left: tuple[int, int] = (0, 0)  # calls that are not paid for yet: those that are certain, and all

    @property
    def left_usd(self) -> tuple[float, float]:
        """What the calls cost that are not paid for yet."""
        certain, most = self.left
        return certain / max(1, self.least) * self.cost_usd[0], most / max(1, self.calls) * self.cost_usd[1]


def seen_in(run: Run) -> dict[str, Mean]:
    """Return what a reply of each stage took so far, by the model that the stage has now.

    It comes from this run, or else from the run that its scenarios come from. A damaged journal shows nothing.
    """
    try:
        found = (means(run.source.journal) if run.source else {}) | means(run.journal)
        models = {stage: asked_model(run.settings, stage) for stage in MAKING}
    except KitError:  # generating mends a damaged journal, and reports it as it does a missing model
        return {}
    return {stage: found[stage, model] for stage, model in models.items() if (stage, model) in found}


def output_tokens(seen: Mapping[str, Mean]) -> dict[Stage, tuple[float, float]]:
    """Return the output tokens of one answer in each stage, low and high end."""
    return {
        stage: (seen[stage].output_tokens * 0.8, seen[stage].output_tokens * 1.25) if stage in seen else usual
        for stage, usual in OUTPUT_TOKENS.items()
    }


def stage_estimate(
    stage: Stage, *, calls: int, characters: float, settings: Settings, seen: Mapping[str, Mean], further: int = 0
) -> StageEstimate:
    """Return what a stage uses. `characters` are those of a prompt with its schema. Of its calls, `further` ones are not certain."""
    where = address(settings, stage)
    price, tokens_in = price_at(where, settings), int(calls * characters / CHARACTERS_PER_TOKEN)
    (low, high), least = output_tokens(seen)[stage], calls - further
    output = int(least * low), int(calls * high)
    cost = price.cost_usd(Usage(int(least * characters / CHARACTERS_PER_TOKEN), output[0])), price.cost_usd(Usage(tokens_in, output[1]))
    return StageEstimate(stage, "embedded" if where.access.is_local else where.model, calls, tokens_in, output, cost, least)


def asked_model(settings: Settings, stage: Stage) -> str:
    """Return the name under which the journal has a stage's model. Raises LocalModelError where a model on this machine is not there."""
    from lib.llm.embedded.process import embedded_model_file

    where = address(settings, stage)
    return embedded_model_file().stem if where.access.is_local else where.model
