"""The calls of each stage and the seconds of one -> the minutes of a run.

Calls run side by side, so a pass takes as long as all of its calls do in a window of this width. But it takes no less than the calls of
one sample, which wait for one another.
"""

from collections.abc import Collection, Mapping

from lib.llm.ledger import Mean
from lib.prompts.rendering import Stage

Span = tuple[float, float]  # low, high
# In the order in which one sample waits for them.
PASSES: tuple[tuple[Stage, ...], ...] = (("scenario", "verify", "gold", "misstate"), ("spoil", "judge", "criterion"))
SECONDS_TO_BEGIN = 1.0  # until the first token comes. This and the next line are usual for large models, and were not measured here.
TOKENS_A_SECOND = 100.0, 60.0  # of output, when it goes well and when it does not
# The embedded model took 12, 4 and 6 seconds for scenario, response and verdict on two cores that were also used by others (Nov 2026).
LOCAL_SECONDS: dict[Stage, float] = {
    "scenario": 12,
    "gold": 4,
    "judge": 6,
    "criterion": 4,
    "spoil": 4,
    "verify": 12,
    "misstate": 4,
    "answer": 4,
}
LOCAL_SPREAD = 0.5, 1.5  # of other machines
SPREAD = 0.8, 1.25  # of what was measured


def seconds_a_call(output_tokens: Mapping[Stage, Span], *, seen: Mapping[str, Mean], local: Collection[Stage]) -> dict[Stage, Span]:
    """Return the seconds of one call in each stage. Those of the `local` stages are answered on this machine.

    Batches take a time of their own, so seconds that are 0 were not measured.
    """
    return {stage: _seconds(stage, tokens, seen=seen.get(stage), is_local=stage in local) for stage, tokens in output_tokens.items()}


def _seconds(stage: Stage, tokens: Span, *, seen: Mean | None, is_local: bool) -> Span:
    if seen and seen.seconds:
        return seen.seconds * SPREAD[0], seen.seconds * SPREAD[1]
    if is_local:
        return LOCAL_SECONDS[stage] * LOCAL_SPREAD[0], LOCAL_SECONDS[stage] * LOCAL_SPREAD[1]
    return SECONDS_TO_BEGIN + tokens[0] / TOKENS_A_SECOND[0], SECONDS_TO_BEGIN + tokens[1] / TOKENS_A_SECOND[1]


def minutes(calls: Mapping[Stage, int], seconds: Mapping[Stage, Span], *, steps: Mapping[Stage, int], widths: Mapping[Stage, int]) -> Span:
    """Return how long the run takes. `widths` are the calls of a stage side by side, `steps` how often one sample may wait for it."""

    def both_passes(end: int) -> float:
        one = {stage: span[end] for stage, span in seconds.items()}
        return sum(
            max(sum(steps[stage] * one[stage] for stage in stages), sum(calls[stage] * one[stage] / widths[stage] for stage in stages))
            for stages in PASSES
        )

    return both_passes(0) / 60, both_passes(1) / 60


def steps_of(calls: Mapping[Stage, int], *, judges_again: bool) -> dict[Stage, int]:
    """Return how often one sample may wait for each stage, which in batches is the number of batches that wait for one another."""
    steps = {stage: min(1, count) for stage, count in calls.items()}
    return steps | {"verify": steps["verify"] + steps["misstate"], "judge": steps["judge"] + judges_again}
