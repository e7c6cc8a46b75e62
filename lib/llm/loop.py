"""Run a coroutine to its end from a notebook cell or a script, so that cells stay plain calls; and many of them side by side.

A kernel's loop is already running, which `asyncio.run` refuses; nest-asyncio2 lets it be entered again. The stop button (SIGINT) lets
what is under way end, up to a limit of time, because calls in flight are paid for. Pressed again, it cancels at once. Either way the
coroutine closes its connections and files, and only then is KeyboardInterrupt raised.
"""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from lib.errors import KitError

T = TypeVar("T")


class Stopped(Exception):
    """Nothing new is begun any more, because the stop button was pressed."""


class _WasInterrupted(Exception):
    """Stands for KeyboardInterrupt inside a loop, which asyncio would also report as an exception that was never retrieved."""


class Stopping:
    """Whether the stop button was pressed. `grace_s` is how long what is under way may then go on; 0 cancels it at once."""

    def __init__(self, grace_s: float = 0.0) -> None:
        self.grace_s, self._pressed = grace_s, asyncio.Event()
        self.notice: Callable[[], None] = lambda: None

    @property
    def was_pressed(self) -> bool:
        return self._pressed.is_set()

    def check(self) -> None:
        """Raise Stopped when the button was pressed: for the moment before something new is begun."""
        if self.was_pressed:
            raise Stopped

    async def pause(self, seconds: float) -> None:
        """Sleep. Raises Stopped as soon as the button is pressed."""
        try:
            await asyncio.wait_for(self._pressed.wait(), seconds)
        except TimeoutError:
            return
        raise Stopped

    def press(self, task: "asyncio.Task[Any]") -> None:
        if self.was_pressed or not self.grace_s:
            task.cancel()
            return
        self._pressed.set()
        task.get_loop().call_later(self.grace_s, task.cancel)
        self.notice()


def finish(coroutine: Coroutine[Any, Any, T], stopping: Stopping | None = None) -> T:
    """Return what `coroutine` returns. Raises KeyboardInterrupt, after the coroutine has cleaned up, when it was interrupted."""
    try:
        return _finish(_stoppable(coroutine, stopping or Stopping()))
    except _WasInterrupted:
        raise KeyboardInterrupt from None


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    import nest_asyncio2

    nest_asyncio2.apply(loop)
    return loop.run_until_complete(coroutine)


async def _stoppable(coroutine: Coroutine[Any, Any, T], stopping: Stopping) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(coroutine)
    was_interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        was_interrupted.set()
        loop.call_soon_threadsafe(stopping.press, task)

    with _on_interrupt(interrupt):
        try:
            return await task
        except (asyncio.CancelledError, Stopped):
            if was_interrupted.is_set():
                raise _WasInterrupted from None
            task.cancel()
            raise


@contextmanager
def _on_interrupt(handler: Callable[..., None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only the main thread hears of signals
        yield
        return
    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


async def for_each(work: Callable[[int, Any], Awaitable[None]], things: Any, *, width: int, stopping: Stopping | None = None) -> None:
    """Run `work(index, thing)` over an iterable with `width` at a time; the next starts as soon as any ends.

    The first exception other than a recorded failure cancels the others and is raised, a KitError before any other. When the stop button
    is pressed, nothing more is begun, and Stopped is raised once what was under way has ended.
    """
    numbered, stopping = enumerate(things), stopping or Stopping()

    async def worker() -> None:
        for index, thing in numbered:
            try:
                stopping.check()
                await work(index, thing)
            except Stopped:
                return

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(worker())
    except BaseExceptionGroup as several:
        leaves = list(_leaves(several))
        raise next((leaf for leaf in leaves if isinstance(leaf, KitError)), leaves[0]) from None
    stopping.check()


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
