"""Run a coroutine to its end from a notebook cell or a script, and many pieces of work side by side.

The stop button (SIGINT) lets calls in flight end, up to a limit of time, because they are paid for. Pressed again, it cancels at once.
Either way the coroutine closes its connections and files before KeyboardInterrupt is raised.
"""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from lib.errors import KitError

T = TypeVar("T")
U = TypeVar("U")


class Stopped(Exception):
    """Nothing new is begun any more, because the stop button was pressed."""


class _WasInterrupted(Exception):
    """Stands for KeyboardInterrupt inside a loop, where asyncio would also report it as an exception that was never retrieved."""


class Stopping:
    """Whether the stop button was pressed, and what follows from that."""

    def __init__(self, grace_s: float = 0.0) -> None:
        self.grace_s = grace_s  # how long calls in flight may go on; 0 cancels them at once
        self.notice: Callable[[], None] = lambda: None  # shows that the button was pressed
        self.task: asyncio.Task[Any] | None = None  # the work, once it has begun
        self._pressed = asyncio.Event()

    @property
    def was_pressed(self) -> bool:
        return self._pressed.is_set()

    def check(self) -> None:
        """Raise Stopped when the button was pressed. Called before something new is begun."""
        if self.was_pressed:
            raise Stopped

    async def pause(self, seconds: float) -> None:
        """Sleep. Raises Stopped as soon as the button is pressed."""
        try:
            await asyncio.wait_for(self._pressed.wait(), seconds)
        except TimeoutError:
            return
        raise Stopped

    def press(self) -> None:
        """Cancel the work after `grace_s`, or at once when this is the second time. Before the work has begun, it never begins."""
        was_pressed_before = self.was_pressed
        self._pressed.set()
        if self.task is None:
            return
        if was_pressed_before or not self.grace_s:
            self.task.cancel()
            return
        self.task.get_loop().call_later(self.grace_s, self.task.cancel)
        self.notice()


def finish(coroutine: Coroutine[Any, Any, T], stopping: Stopping | None = None) -> T:
    """Return what `coroutine` returns. Raises KeyboardInterrupt when it was interrupted, after it has cleaned up."""
    stopping = stopping or Stopping()
    stoppable = _stoppable(coroutine, stopping)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    with _pressed_by_signal(stopping):
        try:
            if loop is None:
                return asyncio.run(stoppable)
            import nest_asyncio2

            nest_asyncio2.apply(loop)  # a kernel's loop is running already, and must be entered again
            return loop.run_until_complete(stoppable)
        except _WasInterrupted:
            raise KeyboardInterrupt from None


@contextmanager
def _pressed_by_signal(stopping: Stopping) -> Iterator[None]:
    """Let SIGINT press the stop button, from before the loop is made until after it is closed.

    A KeyboardInterrupt inside asyncio's own code would leave tasks behind whose exceptions nobody retrieves.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone receives signals
        yield
        return

    def press(*_: object) -> None:
        if stopping.task is None:
            stopping.press()
        else:
            with suppress(RuntimeError):  # the loop is closed already, and nothing is left to stop
                stopping.task.get_loop().call_soon_threadsafe(stopping.press)

    previous = signal.signal(signal.SIGINT, press)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


async def _stoppable(coroutine: Coroutine[Any, Any, T], stopping: Stopping) -> T:
    if stopping.was_pressed:
        coroutine.close()
        raise _WasInterrupted
    stopping.task = task = asyncio.ensure_future(coroutine)
    try:
        return await task
    except (asyncio.CancelledError, Stopped):
        if stopping.was_pressed:
            raise _WasInterrupted from None
        task.cancel()
        raise


async def for_each(work: Callable[[int, U], Awaitable[None]], things: Iterable[U], *, width: int, stopping: Stopping | None = None) -> None:
    """Run `work(index, thing)` for each thing, `width` at a time. The next starts as soon as any ends.

    The first exception cancels the others and is raised, a KitError before any other. After the stop button nothing more is begun,
    and Stopped is raised when what was under way has ended.
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
        raise next((error for error in several.exceptions if isinstance(error, KitError)), several.exceptions[0]) from None
    stopping.check()
