"""One pass over a run's folder: things to do -> their records in order, and what failed, through one window of calls.

Generating (a slot becomes a sample) and judging (a sample becomes an evaluation) are both such a pass.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import BaseModel

from lib.llm.addresses import MAKING, address
from lib.llm.ask import Asker
from lib.llm.call import CallFailed, FailureReason
from lib.llm.loop import Stopping, finish, for_each
from lib.llm.progress import Standing, progress_bar, redrawn
from lib.llm.session import open_asker
from lib.llm.tally import RunFailed, Tally
from lib.prompts.rendering import Stage
from lib.run.files import is_file, json_line, trouble_told, write_jsonl
from lib.run.lock import held
from lib.run.manifest import read_manifest
from lib.run.ordered_lines import OrderedLines
from lib.run.records import recorded_failures
from lib.run.run import Run
from lib.schema import Failure

GRACE_S = 60.0  # after the stop button, for calls in flight


class HasId(Protocol):
    """A thing to work on. Its failures are recorded under its id."""

    @property
    def id(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What a pass works on, how, and where its records are written."""

    verb: str  # what happens to a sample, as "made"
    title: str = ""  # of the progress bar; the verb when it is empty
    things: Iterable[Any]  # each has an id
    total: int
    make: Callable[[Asker, Any], Awaitable[Sequence[BaseModel]]]  # a thing's record, and what else came of it; raises CallFailed
    targets: Mapping[type[BaseModel], Path]  # the file of each kind of record
    is_own: Callable[[Failure], bool]  # true for a failure on record that this pass replaces
    chunk: int = 0  # things in a checkpoint of the first target; 0 means no checkpoints
    # Asked for under the thing's own id, so that the journal shows what was paid. The provider of the first one is recorded.
    stages: tuple[Stage, ...]
    opens: tuple[Stage, ...] = MAKING  # whose endpoints are opened
    lines: dict[type[BaseModel], OrderedLines] = field(default_factory=dict, init=False, repr=False)
    done: Counter[type[BaseModel]] = field(default_factory=Counter, init=False, repr=False)  # things, by the kind of their first record

    @property
    def first_target(self) -> Path:
        return next(iter(self.targets.values()))

    @property
    def first_lines(self) -> OrderedLines:
        return next(iter(self.lines.values()))


def work_through(run: Run, work: Pass) -> Tally:
    """Do all of it, or replay it from the journal. Write the targets and the failures in the order of the things.

    Raises RunFailed when interrupted, ProviderError when no call can succeed, RunError when the folder is busy.
    """
    work.lines.update({kind: OrderedLines(run.dir) for kind in work.targets})
    try:
        with held(run):
            is_live = address(run.settings, work.stages[0]).access.mode == "live"
            stopping = Stopping(GRACE_S if is_live else 0.0)  # a batch goes on at the provider
            return finish(_through(run, work, stopping=stopping), stopping)
    except KeyboardInterrupt:
        done = work.done.total()
        raise RunFailed(f"Interrupted: {done:,} of {work.total:,} {work.verb}; run again to continue.") from None
    finally:
        for lines in work.lines.values():
            lines.close()


def again(failure: Failure) -> CallFailed:
    """Rebuild the `CallFailed` that a recorded failure stands for, so that the call is not repeated."""
    return CallFailed(cast(FailureReason, failure.reason), failure.detail, stage=failure.stage)


async def _through(run: Run, work: Pass, *, stopping: Stopping) -> Tally:
    failures, checkpoints, started = dict[int, Failure](), _Checkpoints(run, work), time.monotonic()
    other = run.source.journal if run.source else None
    async with open_asker(run.settings, journal=run.journal, stopping=stopping, stages=work.opens, other=other) as ask:
        if "scenario" in work.opens:
            require_same_house(run, is_local=ask.provider("scenario").is_local)
        standing, title = Standing(ask), work.title or work.verb.capitalize()
        provider, is_live = ask.provider(work.stages[0]), ask.mode(work.stages[0]) == "live"
        with progress_bar(work.total, description=title, unit="samples", note=standing.__str__, is_steady=is_live) as bar:
            standing.follow_batches(bar.refresh)
            stopping.notice = lambda: bar.write(
                f"Stopping: {ask.in_flight[0]} calls in flight are paid for, so they may end, within {GRACE_S:.0f} s. "
                "Stop again to end at once."
            )

            async def one(index: int, thing: HasId) -> None:
                try:
                    ask.require_budget(thing.id, work.stages)
                    records = await work.make(ask, thing)
                    for record in records:
                        work.lines[type(record)].add(index, json_line(record))
                    work.done[type(records[0])] += 1
                except CallFailed as failed:
                    failures[index] = Failure(id=thing.id, stage=failed.stage, reason=failed.reason, detail=failed.detail)
                    standing.failed(failed.reason)
                checkpoints.done(index)
                bar.update(1)

            async with redrawn(bar):
                await for_each(one, work.things, width=min(ask.workers, work.total), stopping=stopping)
        remarks = [*ask.remarks]
        if ask.journal.restored():
            remarks.append(f"{run.journal.name} was deleted while the run was at work. It has been written again, complete.")
        in_order = tuple(failures[index] for index in sorted(failures))
        fell_short = work.done.total() < run.settings.min_call_success * work.total
        keeps_files = fell_short and len(work.first_lines) < _lines_in(work.first_target)
        for kind, path in work.targets.items() if not keeps_files else ():
            work.lines[kind].write(path)
        _write_failures(run, in_order, is_own=work.is_own)
        return Tally(
            verb=work.verb,
            total=work.total,
            done=work.done.total(),
            failures=in_order,
            asked=ask.asked,
            replayed=ask.replayed,
            cost_usd=ask.budget.spent_usd,
            seconds=time.monotonic() - started,
            provider=provider.id,
            notice=provider.notice,
            remarks=tuple(remarks),
            is_embedded=provider.is_embedded,
            keeps_files=keeps_files,
        )


def _lines_in(path: Path) -> int:
    """Return how many records a file of the run holds. There are none where it is not there."""
    if not is_file(path):
        return 0
    with trouble_told(path, doing="read"), path.open("rb") as file:
        return sum(1 for _ in file)


def require_same_house(run: Run, *, is_local: bool) -> None:
    """Raise RunFailed before the embedded model replaces what another model was paid for, unless PROVIDER=local asks for it."""
    before = read_manifest(run).generation.provider
    if is_local and run.settings.provider == "auto" and before and not before.startswith("local:"):
        raise RunFailed(
            f"{run.dir} was made by {before}, and now there is no key, so the embedded model would replace its text. "
            "Set the key and the base URL of then (see .env.example), choose another RUN name, or ask for it by PROVIDER=local."
        )


def _write_failures(run: Run, failures: Sequence[Failure], *, is_own: Callable[[Failure], bool]) -> None:
    """Replace the failures of an earlier such pass in `failures.jsonl`."""
    others = [failure for failure in recorded_failures(run) if not is_own(failure)]
    write_jsonl(run.failures, others + list(failures))


class _Checkpoints:
    """Writes a checkpoint as soon as all of its things are done, whichever others are still under way."""

    def __init__(self, run: Run, work: Pass) -> None:
        self._run, self._lines, self._size = run, work.first_lines, work.chunk
        whole, rest = divmod(work.total, work.chunk) if work.chunk else (0, 0)
        self._left = dict.fromkeys(range(1, whole + 1), work.chunk) | ({whole + 1: rest} if rest else {})

    def done(self, index: int) -> None:
        if not self._size:
            return
        number = index // self._size + 1
        self._left[number] -= 1
        if not self._left[number] and len(self._lines):
            self._lines.write(self._run.checkpoint(number), first=(number - 1) * self._size, last=number * self._size - 1)
