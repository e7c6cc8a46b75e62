"""A stage and its calls -> tokens, US dollars and seconds, as the run's journal shows them or as its prompts usually give."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib.llm.ask import SETTINGS_OF
from lib.llm.budget import CHARACTERS_PER_TOKEN, price_for
from lib.llm.call import Usage
from lib.llm.journal_file import JournalError
from lib.llm.ledger import Spent, ledger
from lib.prompts.rendering import Stage, template_sha256
from lib.run.manifest import read_manifest
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


ORDER: tuple[Stage, ...] = ("scenario", "verify", "misstate", "gold", "judge", "spoil")
BEFORE: dict[Stage, set[str]] = {  # the stages whose answers stand in the prompt of a stage
    "scenario": set(), "verify": {"scenario"}, "misstate": {"scenario"}, "gold": {"scenario"}, "judge": {"gold"}, "spoil": {"gold"},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Seen:
    """What the run's journal shows of a stage so far."""

    calls: int
    output_tokens: float  # of one answer
    seconds: float  # of one call


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """What one stage uses. Ranges are (low, high)."""

    stage: Stage
    model: str
    calls: int
    input_tokens: int
    output_tokens: tuple[int, int]
    cost_usd: tuple[float, float]
    seconds: tuple[float, float]  # of one call
    paid: int  # calls that need not be paid any more
    least: int  # calls that are certain

    @property
    def left_usd(self) -> tuple[float, float]:
        """What the calls cost that are not paid yet."""
        low, high = (max(0, calls - self.paid) / max(1, calls) for calls in (self.least, self.calls))
        return low * self.cost_usd[0], high * self.cost_usd[1]


def seen_in(run: Run) -> dict[str, Seen]:
    """Return what each stage used so far in this run, or else in the run that its scenarios come from."""
    own, source = spent_so_far(run), spent_so_far(run.source) if run.source else []
    found = {line.stage: [one for one in own if one.stage == line.stage] for line in own}
    found |= {line.stage: [one for one in source if one.stage == line.stage] for line in source if line.stage not in found}
    return {stage: _seen(lines) for stage, lines in found.items() if any(line.calls for line in lines)}


def _seen(lines: Sequence[Spent]) -> Seen:
    calls = sum(line.calls for line in lines)
    return Seen(calls, sum(line.usage.output for line in lines) / calls, sum(line.seconds for line in lines) / calls)


def changed_stages(run: Run) -> set[str]:
    """Return the stages whose replies on record are of no use, because a prompt or a model of theirs or before them was changed."""
    manifest = read_manifest(run.source if run.source and not read_manifest(run).has("generation") else run)
    prompts = manifest.generation.prompt_sha256 | manifest.judging.prompt_sha256
    models = manifest.generation.settings | manifest.judging.settings
    changed: set[str] = set()
    for stage in ORDER:
        was, model = prompts.get(stage), SETTINGS_OF[stage][0]
        edited = was is not None and was != template_sha256(stage)
        other = model in models and models[model] != getattr(run.settings, model)
        if edited or other or changed & BEFORE[stage]:
            changed.add(stage)
    return changed


def spent_so_far(run: Run) -> list[Spent]:
    """Return the ledger, which is empty for a damaged journal. Generating mends and reports that."""
    try:
        return ledger(run.journal)
    except JournalError:
        return []


def stage_estimate(
    stage: Stage, *, calls: int, characters: float, settings: Settings, seen: Mapping[str, Seen], is_local: bool, least: int = -1
) -> StageEstimate:
    """Return what a stage uses. `characters` are those of a prompt with its schema. At `least` so many calls are certain, or else all."""
    least = calls if least < 0 else least
    model, usual = getattr(settings, SETTINGS_OF[stage][0]), seen.get(stage)
    price, tokens_in = price_for(model, settings, is_local=is_local), int(calls * characters / CHARACTERS_PER_TOKEN)
    low, high = (usual.output_tokens * 0.8, usual.output_tokens * 1.25) if usual else OUTPUT_TOKENS[stage]
    output = int(calls * low), int(calls * high)
    low_usd = price.cost_usd(Usage(tokens_in, output[0])) * least / calls
    cost = low_usd, price.cost_usd(Usage(tokens_in, output[1]))
    seconds = (SECONDS_A_LOCAL_CALL, SECONDS_A_LOCAL_CALL) if is_local else SECONDS_A_CALL[stage]
    if usual and settings.mode == "live":  # a batch's seconds say nothing of a call's
        seconds = usual.seconds * 0.8, usual.seconds * 1.25
    return StageEstimate(stage, model, calls, tokens_in, output, cost, seconds, usual.calls if usual else 0, least)
