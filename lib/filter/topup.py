"""A filtered run that fell short -> near misses repaired, then cells refilled, until TARGET_KEPT are kept or the budget ends.

What is still missing after repair is made anew in the cells that fell short, with other topics and styles. Running it again replays
everything from the journal, because what a slot asks for does not depend on the round in which it is made.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from lib.errors import counted
from lib.filter.gates import gate_samples
from lib.filter.judge import NONE_GIVEN_UP, judge_samples
from lib.filter.keep import filter_samples
from lib.filter.repair import repair
from lib.generate.inputs import Plan, seeds_as_used
from lib.generate.plan import REFILL, Cell, Refills, planned_cells
from lib.generate.samples import Made, make_sample
from lib.generate.topics import read_topics
from lib.llm.ask import Asker
from lib.llm.ledger import ledger
from lib.llm.tally import ledger_rows
from lib.llm.work import Pass, again, work_through
from lib.prompts.rendering import template_sha256
from lib.run.files import RunError
from lib.run.lock import held
from lib.run.manifest import update_manifest
from lib.run.records import forget_top_up, kept_samples, made_samples, recorded_failures
from lib.run.run import Run
from lib.schema import DroppedScenario, Failure, Sample, Slot
from lib.settings import from_root
from lib.taxonomy import CONTROL_KINDS

MOST_ROUNDS = 8  # at a keep rate of one half, one in 256 is then still missing


@dataclass(frozen=True, slots=True)
class TopUp:
    """The result of topping up."""

    target: int
    kept_before: int
    kept: int
    repaired: int
    added: int
    rounds: int
    why: str  # it ended

    def __str__(self) -> str:
        made = f"{self.repaired:,} repaired, {self.added:,} made anew in {counted(self.rounds, 'round')}"
        return f"{self.kept_before:,} kept before, {self.kept:,} now, {self.target:,} wanted ({made}): {self.why}"


def top_up_samples(run: Run) -> TopUp | str:
    """Repair and refill, and write the run's files anew. When `top_up` is off, return a sentence that says what it would take.

    Raises RunError when the run has not been filtered, ProviderError when no call can succeed. An exhausted budget is no error.
    """
    if not run.settings.top_up:
        return _expected(run)
    with held(run):
        return _topped_up(run)


def _expected(run: Run) -> str:
    """Return what topping up would take, from what the run's samples have cost so far."""
    target, made, kept = _target(run), sum(1 for _ in made_samples(run)), _kept_by_cell(run).total()
    if kept >= target:
        return f"{kept:,} of {target:,} wanted samples are kept, without controls, so there is nothing to top up."
    spent_usd = sum(line.cost_usd for line in ledger(run.journal))
    more = math.ceil((target - kept) * made / max(1, kept))
    cost, left = more * spent_usd / max(1, made), max(0.0, run.settings.budget_usd - spent_usd)
    return (
        f"{kept:,} of {target:,} wanted samples are kept, without controls. At this rate, topping up would take about {more:,} more "
        f"samples and ${cost:.2f}, and budget_usd leaves ${left:.2f}. To do it, set top_up = True here, or use make topup."
    )


def _topped_up(run: Run) -> TopUp:
    target = _target(run)
    forget_top_up(run)
    kept_before = _judged_anew(run, step="what there was").total()
    failures = repair(run) if kept_before < target else ()
    refill = _Refilling(run.as_made)
    while True:
        kept = _judged_anew(run, step=_round(refill.rounds) if refill.rounds else "with repairs", given_up=_given_up(run))
        if why := _why_to_stop(kept.total(), target, refill=refill, failures=failures):
            break
        wanted = planned_cells(run.as_made.settings, target) - kept
        failures = refill.make(short_cells(wanted, count=target - kept.total()))
    made = Counter(sample.metadata.origin for sample in made_samples(run))
    found = TopUp(target, kept_before, kept.total(), made["repair"], made["top_up"], refill.rounds, why)
    more = {"prompt_sha256": {"repair": template_sha256("repair")}, "ledger": ledger_rows(run)}
    update_manifest(run, "top_up", values=asdict(found) | more)
    return found


def short_cells(short: Counter[Cell], *, count: int) -> Iterator[Cell]:
    """Yield up to `count` cells to refill, each time the one that lacks most, so that the set is balanced wherever it ends."""
    left = Counter(short)
    for _ in range(min(count, left.total())):
        cell = max(left, key=lambda name: left[name])
        left[cell] -= 1
        yield cell


class _Refilling:
    """Makes a further sample in each cell it is given, and once more, from the journal, those of the rounds before."""

    def __init__(self, run: Run) -> None:
        settings = run.settings
        if not (seed_file := seeds_as_used(run)):
            raise RunError(f"{settings.seeds_csv} has changed since the samples were made: restore it, or run 01_generate again.")
        topics = read_topics(from_root(settings.topics_csv))
        self._run, self._plan, self._slots = run, Plan(settings, seed_file, topics), list[Slot]()
        self._refills = Refills(settings, seeds=seed_file.seeds, topics=topics)
        self.rounds, self._written = 0, 0  # scenarios, those that the verifier dropped among them
        self.stuck = False  # true when the last round added no sample

    def make(self, cells: Iterable[Cell]) -> tuple[Failure, ...]:
        """Make the samples and return the failures."""
        given_up = _given_up(self._run)

        async def make(ask: Asker, slot: Slot) -> Made:
            if failure := given_up.get(slot.id):
                raise again(failure)
            return await make_sample(ask, slot, seed=self._plan.seed_of(slot))

        self._slots += map(self._refills.next, cells)
        work = Pass(
            verb="added",
            title=_title(_round(self.rounds + 1), "made"),
            things=self._slots,
            total=len(self._slots),
            make=make,
            targets={Sample: self._run.topped_up, DroppedScenario: self._run.dropped_beyond},
            is_own=lambda failure: failure.id.startswith(REFILL),
            stages=("scenario",),
        )
        failures, written = work_through(self._run, work).failures, work.done.total()
        self.rounds, self.stuck, self._written = self.rounds + 1, written == self._written, written
        return failures


def _given_up(run: Run) -> dict[str, Failure]:
    """Return the failures on record that would be paid for again without success, by id."""
    return {failure.id: failure for failure in recorded_failures(run) if failure.reason in ("invalid_answer", "truncated", "rejected")}


def _judged_anew(run: Run, *, step: str, given_up: Mapping[str, Failure] = NONE_GIVEN_UP) -> Counter[Cell]:
    """Gate, judge and filter what there is after this step, and return how many are kept in each cell."""
    gate_samples(run)
    # An exhausted budget ends the work without failing it.
    judge_samples(run, may_fall_short=True, given_up=given_up, title=_title(step, "judged"))
    filter_samples(run)
    return _kept_by_cell(run)


def _round(number: int) -> str:
    return f"round {number} of at most {MOST_ROUNDS}"


def _title(step: str, verb: str) -> str:
    """Return what stands before a progress bar, so that each bar is seen to be a part of topping up."""
    return f"Topping up, {step}: {verb}"


def _kept_by_cell(run: Run) -> Counter[Cell]:
    """Return how many samples are kept in each cell. Controls belong to none."""
    about = (sample.metadata for sample in kept_samples(run) if sample.metadata.misconception_type not in CONTROL_KINDS)
    return Counter((each.subject, each.misconception_type) for each in about)


def _target(run: Run) -> int:
    return run.settings.target_kept or run.as_made.settings.planned_samples


def _why_to_stop(kept: int, target: int, *, refill: _Refilling, failures: Sequence[Failure]) -> str:
    """Return why no further round is worth its money, or ""."""
    if kept >= target:
        return "the target is reached"
    if any(failure.reason == "over_budget" for failure in failures):
        return "budget_usd is reached; raise it and run again"
    if refill.stuck:
        return f"none of the last round's samples could be made ({failures[-1].reason}); see failures.jsonl"
    if refill.rounds == MOST_ROUNDS:
        return f"{MOST_ROUNDS} rounds did not suffice; read the dropped samples before you make more"
    return ""
