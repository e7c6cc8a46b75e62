"""A run and what its plan asks for -> how many of these calls are not paid for yet."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from lib.generate.calls import Questions, inputs_of, slot_of
from lib.generate.inputs import Plan, what_differs
from lib.generate.usage import asked_model
from lib.llm.addresses import SETTINGS_OF
from lib.llm.ledger import Answered, answered
from lib.prompts.rendering import Stage, Template, template_sha256
from lib.run.files import RunError
from lib.run.manifest import read_manifest
from lib.run.records import dropped_scenarios, gate_decisions
from lib.run.run import Run

CHAIN: tuple[Stage, ...] = ("scenario", "verify", "gold", "misstate", "spoil", "judge", "criterion")  # each may depend on those before it
TEMPLATES_OF: dict[Stage, tuple[Template, ...]] = {
    "scenario": ("scenario", "control"),
    "verify": ("verify",),
    "gold": ("gold", "gold_control"),
    "misstate": ("misstate",),
    "spoil": ("spoil", "spoil_subtle", "rewrite"),
    "judge": ("judge",),
    "criterion": ("judge",),
}
AFTER_GATES: tuple[Stage, ...] = ("spoil", "judge", "criterion")
BEFORE_JUDGING: tuple[Stage, ...] = ("scenario", "verify", "gold")
NOTHING = Answered({}, set())


def unpaid_calls(run: Run, plan: Plan, *, asked: Questions) -> dict[Stage, int]:
    """Return how many of the planned calls are not paid for yet, with the first judge alone. Raises JournalError.

    A reply to a model, a plan, an effort or a prompt that has changed since does not count as paid. What a refusal, the verifier or
    the gates have made unnecessary is not asked for. What the run was paid that the scenarios come from is free.
    """
    settings, folders = run.settings, [run, *([run.source] if run.source else [])]
    paid = {stage: Answered({}, set()) for stage in CHAIN}
    for folder in folders:
        found = answered(folder.journal)
        for stage in unchanged_stages(run, plan, since=folder):
            one = found.get((stage, asked_model(settings, stage)), NOTHING)
            paid[stage] = Answered(one.votes | paid[stage].votes, one.refused | paid[stage].refused)
    needed = asked.without(_lost(run, paid)).not_judged({name for folder in folders for name in _gated(folder, paid["gold"])})
    calls, copies = needed.calls(settings), needed.copies(settings)
    planted = {name for name, _ in copies}
    judged = [min(votes, settings.votes) for name, votes in paid["judge"].votes.items() if slot_of(name) in planted]
    unjudged = max(0, len(copies) * settings.votes - sum(judged))
    spoiled = sum(slot_of(name) in planted for name in paid["spoil"].votes)
    return {
        "scenario": _missing(needed.scenarios, paid["scenario"]),
        "verify": _missing(needed.verified, paid["verify"]) + _missing(needed.misstated, paid["verify"]),
        "misstate": _missing(needed.misstated, paid["misstate"]),
        "gold": _missing(needed.responses, paid["gold"]),
        "spoil": max(0, calls["spoil"] - spoiled) if unjudged else 0,
        "judge": _missing(needed.judged, paid["judge"], votes=settings.votes) + unjudged,
        "criterion": max(0, calls["criterion"] - sum(slot_of(slot_of(name)) in planted for name in paid["criterion"].votes)),
    }


def _missing(names: Iterable[str], paid: Answered, *, votes: int = 1) -> int:
    return sum(max(0, votes - paid.votes.get(name, 0)) for name in names)


def unchanged_stages(run: Run, plan: Plan, *, since: Run) -> Iterator[Stage]:
    """Yield the stages in which the run asks what was asked when the files of the run `since`, mostly the same one, were written."""
    manifest, now = read_manifest(since), run.settings.model_dump(mode="json")
    if manifest.generation.settings and any(what_differs(run, manifest.generation, inputs_sha256=inputs_of(plan), may_shrink=True)):
        return
    for stage in CHAIN:
        recorded = manifest.judging if stage in AFTER_GATES else manifest.generation
        texts = {name: template_sha256(name) for name in TEMPLATES_OF[stage]}
        same = all(_is_same(recorded.settings.get(name, now[name]), now[name]) for name in SETTINGS_OF[stage])
        if not same or not _agrees(recorded.prompt_sha256, texts):
            return
        yield stage


def _is_same(recorded: object, now: object) -> bool:
    """Whether a setting is as it was, or names one judge of the panel that it named."""
    return recorded == now or (isinstance(recorded, str) and now in recorded.split(","))


def _agrees(recorded: Mapping[str, str], now: Mapping[Template, str]) -> bool:
    return all(recorded.get(name, digest) == digest for name, digest in now.items())


def _lost(run: Run, paid: Mapping[Stage, Answered]) -> set[str]:
    """Return the slots that get no response, because a model refused or the verifier dropped the scenario."""
    lost = {name for stage in BEFORE_JUDGING for name in paid[stage].refused}
    with suppress(RunError):  # a damaged file is reported, and written anew, by the notebook that makes it
        lost |= {one.id for one in dropped_scenarios(run, beyond=False) if one.id in paid["verify"].votes}
    return lost


def _gated(folder: Run, responses: Answered) -> set[str]:
    """Return the samples that the gates have dropped."""
    with suppress(RunError):  # not there yet, or damaged
        return {name for name in gate_decisions(folder) if name in responses.votes}
    return set()
