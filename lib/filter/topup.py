"""a filtered run that fell short -> near misses repaired, then cells refilled, until TARGET_KEPT are kept or the budget ends.

A near miss failed one critical criterion. It is rewritten once with the judge's reasons, not the criteria's texts, and judged again blind,
under an id of its own. What is still missing is made anew in the cells that fell short, with other topics and styles.
Running it again replays everything from the journal: what a slot asks for does not depend on the round in which it is made.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

from lib.filter.gates import gate_samples, seeds_as_used
from lib.filter.judge import NONE_GIVEN_UP, judge_samples
from lib.filter.keep import decisions, filter_samples
from lib.filter.scores import critical_score
from lib.generate.plan import REFILL, Cell, Refills, planned_cells, read_topics
from lib.generate.samples import make_sample
from lib.llm.ask import Asker
from lib.llm.call import Call
from lib.llm.journal import ledger
from lib.llm.work import Pass, Targets, again, ledger_rows, work_through
from lib.prompts.answers import GoldAnswer
from lib.prompts.rendering import repair_prompt, template_sha256
from lib.run.files import RunError
from lib.run.folder import Run, held, made_samples, recorded_failures, run_of
from lib.run.manifest import as_planned, forget_top_up, update_manifest
from lib.schema import DropReason, Failure, Message, Sample, Slot
from lib.settings import Settings, from_root

MOST_ROUNDS = 8  # at a keep rate of one half, one in 256 is then still missing


@dataclass(frozen=True, slots=True)
class TopUp:
    """What topping up came to, and why it stopped."""

    target: int
    kept_before: int
    kept: int
    repaired: int
    added: int
    rounds: int
    why: str

    def __str__(self) -> str:
        made = f"{self.repaired:,} repaired, {self.added:,} made anew in {self.rounds} rounds"
        return f"{self.kept_before:,} kept before, {self.kept:,} now, {self.target:,} wanted ({made}): {self.why}"


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A dropped sample, and the judge's reasons for the one critical criterion that failed."""

    sample: Sample
    objections: tuple[str, ...]

    @property
    def id(self) -> str:
        return f"{self.sample.id}_repaired"


def top_up(settings: Settings) -> TopUp | None:
    """Repair and refill, and write the run's files anew; None when `top_up` is off.

    Raises RunError when the run has not been filtered, ProviderError when no call can succeed. What the budget leaves undone is no error.
    """
    if not settings.top_up:
        return None
    with held(run_of(settings)):
        return _topped_up(settings)


def _topped_up(settings: Settings) -> TopUp:
    run, target = run_of(settings), _target(settings)
    writing = as_planned(settings)
    forget_top_up(run)
    kept = _judged_anew(settings)
    kept_before = kept.total()
    failures = _repair(settings, writing) if kept_before < target else ()
    refill = _Refilling(writing)
    while True:
        kept = _judged_anew(settings, given_up=_given_up(run))
        if why := _why_to_stop(kept.total(), target, refill, failures):
            break
        failures = refill(short_cells(planned_cells(writing, target) - kept, count=target - kept.total()))
    made = Counter(sample.metadata.origin for sample in made_samples(run))
    found = TopUp(target, kept_before, kept.total(), made["repair"], made["top_up"], refill.rounds, why)
    update_manifest(run, "top_up", asdict(found) | {"prompt_sha256": {"repair": template_sha256("repair")}, "ledger": ledger_rows(run)})
    return found


def expected(settings: Settings) -> str:
    """Return what topping up would take, from what the run's samples have cost so far. Nothing is spent."""
    if not settings.top_up:
        return "Topping up is off. top_up = True, or make topup, repairs near misses and refills the cells that fell short."
    run, target = run_of(settings), _target(settings)
    made, kept = sum(1 for _ in made_samples(run)), _kept_by_cell(settings).total()
    spent_usd = sum(line.cost_usd for line in ledger(run.journal))
    more = math.ceil(max(0, target - kept) * made / max(1, kept))
    return (
        f"{kept:,} of {target:,} wanted are kept: at this rate about {more:,} more samples, about ${more * spent_usd / max(1, made):.2f}; "
        f"budget_usd leaves ${max(0.0, settings.budget_usd - spent_usd):.2f}"
    )


def near_misses(settings: Settings) -> Iterator[NearMiss]:
    """Yield the samples that were dropped for one critical criterion; one that was repaired has had its chance."""
    for sample, evaluation, decision in decisions(settings):
        if evaluation is None or decision.reason != DropReason.CRITICAL_RUBRICS_FAILED or sample.metadata.origin == "repair":
            continue
        score = critical_score(sample, evaluation)
        if score.total - score.passed == 1:
            critical = {rubric.id for rubric in sample.metadata.rubrics if rubric.critical}
            failed = (verdict.reasoning for verdict in evaluation.verdicts if verdict.rubric_id in critical and not verdict.met)
            yield NearMiss(sample, tuple(failed))


def short_cells(short: Counter[Cell], *, count: int) -> Iterator[Cell]:
    """Yield up to `count` cells to refill, again and again the one that lacks most: the set stays balanced wherever it ends."""
    left = Counter(short)
    for _ in range(min(count, left.total())):
        cell = max(left, key=lambda name: left[name])
        left[cell] -= 1
        yield cell


async def repaired_sample(ask: Asker, miss: NearMiss) -> Sample:
    """Return the sample with its response rewritten. Raises CallFailed."""
    settings, sample, about = ask.settings, miss.sample, miss.sample.metadata
    prompt = repair_prompt(sample, miss.objections)
    reply = await ask(Call(sample.id, "repair", settings.model, prompt, GoldAnswer, settings.max_tokens, settings.gold_effort))
    lineage = {
        "origin": "repair",
        "repaired_from": sample.id,
        "models": about.models | {"repair": reply.model},
        "prompt_sha256": about.prompt_sha256 | {"repair": template_sha256("repair")},
    }
    system, user, _ = sample.messages
    return Sample(
        id=miss.id,
        messages=(system, user, Message(role="assistant", content=reply.answer.response)),
        metadata=about.model_copy(update=lineage),
    )


class _Refilling:
    """Makes a further sample in each cell it is given, and once more, from the journal, those of the rounds before.

    `stuck`: the last round added none.
    """

    def __init__(self, writing: Settings) -> None:
        if not (seed_file := seeds_as_used(writing)):
            raise RunError(f"{writing.seeds_csv} has changed since the samples were made: restore it, or run 01_generate again.")
        self._settings, self._slots = writing, list[Slot]()
        self.rounds, self.stuck, self._made = 0, False, 0
        self._seeds = {seed.row: seed for seed in seed_file.seeds}
        self._refills = Refills(seed_file.seeds, read_topics(from_root(writing.topics_csv)), writing)

    def __call__(self, cells: Iterable[Cell]) -> tuple[Failure, ...]:
        given_up = _given_up(run_of(self._settings))

        async def make(ask: Asker, slot: Slot) -> Sample:
            if failure := given_up.get(slot.id):
                raise again(failure)
            return await make_sample(ask, slot, self._seeds[slot.seed_row])

        self._slots += map(self._refills.next, cells)
        targets: Targets = {Sample: run_of(self._settings).topped_up}
        work = Pass("added", len(self._slots), targets, is_own=lambda failure: failure.id.startswith(REFILL), stages=("scenario",))
        tally = work_through(self._slots, make, work=work, settings=self._settings)
        self.rounds, self.stuck, self._made = self.rounds + 1, tally.done == self._made, tally.done
        return tally.failures


def _repair(judging: Settings, writing: Settings) -> tuple[Failure, ...]:
    misses = list(near_misses(judging))
    work = Pass("repaired", len(misses), {Sample: run_of(writing).repaired}, is_own=lambda failure: failure.stage == "repair")
    return work_through(misses, repaired_sample, work=work, settings=writing).failures


def _given_up(run: Run) -> dict[str, Failure]:
    """Return the failures on record that asking once more would only pay for again, by id."""
    return {failure.id: failure for failure in recorded_failures(run) if failure.reason in ("invalid_answer", "truncated", "rejected")}


def _judged_anew(judging: Settings, *, given_up: Mapping[str, Failure] = NONE_GIVEN_UP) -> Counter[Cell]:
    """Gate, judge and filter what there is now, and return how many are kept in each cell."""
    gate_samples(judging)
    judge_samples(judging, at_any_rate=True, given_up=given_up)  # a cap that is reached ends the work, it does not fail it
    filter_samples(judging)
    return _kept_by_cell(judging)


def _kept_by_cell(settings: Settings) -> Counter[Cell]:
    kept = (sample.metadata for sample, _, decision in decisions(settings) if decision.status == "kept")
    return Counter((about.subject, about.misconception_type) for about in kept)


def _target(settings: Settings) -> int:
    return settings.target_kept or as_planned(settings).planned_samples


def _why_to_stop(kept: int, target: int, refill: _Refilling, failures: tuple[Failure, ...]) -> str:
    """Return why no further round is worth its money, or ""."""
    if kept >= target:
        return "the target is reached"
    if any(failure.reason == "over_budget" for failure in failures):
        return "budget_usd is reached; raise it and run again"
    if refill.stuck:
        return f"none of the last round's samples could be made ({failures[-1].reason}); see failures.jsonl"
    if refill.rounds == MOST_ROUNDS:
        return f"{MOST_ROUNDS} rounds did not suffice; read the dropped samples before you buy more"
    return ""
