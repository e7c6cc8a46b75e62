"""Things to do -> their records in order, and what failed: one pass over a run's folder through one window of calls.

Generating (a slot becomes a sample) and judging (a sample becomes an evaluation) are both such a pass.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from pydantic import BaseModel

from lib.errors import KitError
from lib.llm.ask import Asker, open_asker
from lib.llm.call import CallFailed, FailureReason
from lib.llm.journal import ledger
from lib.llm.loop import Stopping, finish, for_each
from lib.llm.progress import progress_bar
from lib.prompts.rendering import Stage
from lib.run.files import json_line, write_jsonl
from lib.run.folder import Run, held, recorded_failures, run_of
from lib.run.manifest import update_manifest, write_parameters
from lib.run.ordered_lines import OrderedLines
from lib.schema import Failure
from lib.settings import Settings

ADVICE = {  # by the reason why calls failed
    "over_budget": "Raise BUDGET_USD, or this will happen again. ",
    "truncated": "Raise MAX_TOKENS, or lower the effort, first. ",
    "refusal": "A refused prompt is never sent again unchanged, so change the prompt or the model first. ",
    "rejected": "The provider will not take these requests as they are, so change what it objects to first. ",
}
GRACE_S = 60.0  # after the stop button, for calls in flight


class HasId(Protocol):
    """A thing to be worked on; failures are recorded under its id."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=HasId)
Targets = Mapping[type[BaseModel], Path]


class RunFailed(KitError):
    """Too few calls succeeded, or the run was interrupted. What was paid for is safe, and running again asks only for the rest."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What a pass came to: total = done + failures. `cost_usd` is what the whole run has cost so far."""

    verb: str
    total: int
    done: int
    failures: tuple[Failure, ...]
    asked: int
    replayed: int
    cost_usd: float
    seconds: float
    provider: str
    notice: str
    remarks: tuple[str, ...]

    def __str__(self) -> str:
        reused = f", {self.replayed:,} replies reused" if self.replayed else ""
        counts = f"{self.done:,} of {self.total:,} samples {self.verb}, {len(self.failures):,} failed"
        return f"{counts}; {self.asked:,} calls{reused}; {self.seconds:.0f} s; the run has cost ${self.cost_usd:.2f} so far"


@dataclass(frozen=True, slots=True)
class Pass:
    """`verb`: what happens to a sample. `targets`: the file of each kind of record that is made. `is_own`: which failures on record are
    this pass's own, to be written anew. `chunk`: how many things a checkpoint of the first target holds (0: none). `stages`: in which
    a thing is asked for under its own id, so that the journal tells whether anything of it was paid for.
    """

    verb: str
    total: int
    targets: Targets
    is_own: Callable[[Failure], bool]
    chunk: int = 0
    stages: tuple[Stage, ...] = ()


def work_through(things: Iterable[T], make: Callable[[Asker, T], Awaitable[BaseModel]], *, work: Pass, settings: Settings) -> Tally:
    """Do all of it, or replay it, and write the targets and the failures, in the things' order.

    Raises RunFailed when interrupted; ProviderError when no call can succeed; RunError when the folder is busy.
    """
    run = run_of(settings)
    lines = {kind: OrderedLines(run.dir) for kind in work.targets}
    try:
        with held(run):
            stopping = Stopping(GRACE_S if settings.mode == "live" else 0.0)  # a batch goes on without us
            return finish(_through(things, make, lines, work=work, settings=settings, stopping=stopping), stopping)
    except KeyboardInterrupt:
        done = sum(map(len, lines.values()))
        raise RunFailed(f"Interrupted: {done:,} of {work.total:,} {work.verb}; run again to continue.") from None
    finally:
        for made in lines.values():
            made.close()


def require_enough(tally: Tally, settings: Settings, *, at_any_rate: bool = False) -> Tally:
    """Return `tally`. Raises RunFailed when fewer than `min_call_success` succeeded; drops by the filter never count here.

    `at_any_rate`: none need succeed, since topping up ends, and does not fail, where the budget does.
    """
    if at_any_rate or tally.done >= settings.min_call_success * tally.total:
        return tally
    reasons = ", ".join(f"{count} × {reason}" for reason, count in Counter(failure.reason for failure in tally.failures).most_common(3))
    first = tally.failures[0]
    raise RunFailed(
        f"Only {tally.done:,} of {tally.total:,} samples could be {tally.verb} ({reasons}). "
        f"First: {first.id}, {first.stage}: {first.detail}. "
        f"All are in failures.jsonl. {ADVICE.get(tally.failures[0].reason, '')}Running again asks for the missing ones only."
    )


def record(tally: Tally, section: str, settings: Settings, **more: Any) -> None:
    """Put the pass into the manifest."""
    counts = {"total": tally.total, "done": tally.done, "failed": len(tally.failures)}
    values = {
        "settings": settings.model_dump(mode="json"),
        "counts": counts,
        "calls": {"asked": tally.asked, "replayed": tally.replayed},
        "provider": tally.provider,
        "notice": tally.notice,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(tally.seconds, 1),
        "ledger": ledger_rows(run_of(settings)),
    }
    update_manifest(run_of(settings), section, more | values)
    write_parameters(run_of(settings))


def ledger_rows(run: Run) -> list[dict[str, object]]:
    """Return the run's ledger: stage, model, calls, tokens, US dollars."""
    return [
        {
            "stage": line.stage,
            "model": line.model,
            "calls": line.calls,
            "input_tokens": line.usage.input,
            "output_tokens": line.usage.output,
            "cache_read_tokens": line.usage.cache_read,
            "cache_write_tokens": line.usage.cache_write,
            "cost_usd": round(line.cost_usd, 6),
        }
        for line in ledger(run.journal)
    ]


def again(failure: Failure) -> CallFailed:
    """Return what a call that was given up would end in again, without asking."""
    return CallFailed(cast(FailureReason, failure.reason), failure.detail, stage=failure.stage)


async def _through(
    things: Iterable[T],
    make: Callable[[Asker, T], Awaitable[BaseModel]],
    lines: Mapping[type[BaseModel], OrderedLines],
    *,
    work: Pass,
    settings: Settings,
    stopping: Stopping,
) -> Tally:
    run, failures = run_of(settings), dict[int, Failure]()
    checkpoints = _Checkpoints(work, run, next(iter(lines.values())))
    started = time.monotonic()
    async with open_asker(settings, journal=run.journal, stopping=stopping) as ask:
        with progress_bar(work.total, description=work.verb.capitalize(), unit="samples") as bar:
            ask.transport.report = lambda said: bar.set_postfix_str(said)
            stopping.notice = lambda: bar.write(
                f"Stopping: {ask.window.in_flight} calls in flight are paid for, so they may end, within {GRACE_S:.0f} s. "
                "Stop again to end at once."
            )

            async def one(index: int, thing: T) -> None:
                try:
                    ask.require_budget(thing.id, work.stages)
                    made = await make(ask, thing)
                    lines[type(made)].add(index, json_line(made))
                except CallFailed as failed:
                    failures[index] = Failure(id=thing.id, stage=failed.stage, reason=failed.reason, detail=failed.detail)
                    bar.set_postfix(failed=len(failures), refresh=False)
                checkpoints.done(index)
                bar.update(1)

            await for_each(one, things, width=min(ask.workers, work.total), stopping=stopping)
        if ask.books.journal.restored():
            ask.transport.remarks.append(f"{run.journal.name} was deleted while the run was at work. It has been written again, complete.")
        for kind, path in work.targets.items():
            lines[kind].write(path)
        in_order = tuple(failures[index] for index in sorted(failures))
        _write_failures(run, in_order, is_own=work.is_own)
        return Tally(
            verb=work.verb,
            total=work.total,
            done=sum(map(len, lines.values())),
            failures=in_order,
            asked=ask.asked,
            replayed=ask.replayed,
            cost_usd=ask.books.budget.spent_usd,
            seconds=time.monotonic() - started,
            provider=ask.provider.id,
            notice=ask.provider.notice,
            remarks=tuple(ask.transport.remarks),
        )


def _write_failures(run: Run, failures: Sequence[Failure], *, is_own: Callable[[Failure], bool]) -> None:
    """Replace what `failures.jsonl` says of an earlier such pass."""
    earlier = recorded_failures(run)
    write_jsonl(run.failures, [failure for failure in earlier if not is_own(failure)] + list(failures))


class _Checkpoints:
    """Writes a checkpoint as soon as all of its things are done, whichever others are still under way."""

    def __init__(self, work: Pass, run: Run, lines: OrderedLines) -> None:
        self._run, self._lines, self._size = run, lines, work.chunk
        whole, rest = divmod(work.total, work.chunk) if work.chunk else (0, 0)
        self._left = dict.fromkeys(range(1, whole + 1), work.chunk) | ({whole + 1: rest} if rest else {})

    def done(self, index: int) -> None:
        if not self._size:
            return
        number = index // self._size + 1
        self._left[number] -= 1
        if not self._left[number]:
            self._lines.write(self._run.checkpoint(number), first=(number - 1) * self._size, last=number * self._size - 1)
