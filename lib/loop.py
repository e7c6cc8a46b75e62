"""Run a coroutine to its end from a notebook cell or a script, so that cells stay plain calls.

A kernel's loop is already running, which `asyncio.run` refuses; nest-asyncio2 lets it be entered again. The stop button (SIGINT)
cancels the coroutine, which closes its connections and files, and only then is KeyboardInterrupt raised.
"""

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what `coroutine` returns. Raises KeyboardInterrupt, after the coroutine has cleaned up, when it was interrupted."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)  # cancels on SIGINT by itself
    import nest_asyncio2

    nest_asyncio2.apply(loop)
    task = loop.create_task(coroutine)
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()
        loop.call_soon_threadsafe(task.cancel)

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError:
        if interrupted.is_set():
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, previous)
