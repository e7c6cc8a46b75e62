"""The stop button: what is in flight is paid for, so it may end; pressed again, everything ends at once."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from typing import Any

import pytest

from lib.generate.seeds import SeedFile
from lib.generate.topics import Topics
from lib.llm.loop import Stopped, Stopping, finish, for_each
from lib.settings import PROJECT_ROOT, Settings
from tests.build import generate
from tests.llm.test_wire import within
from tests.provider import Provider

SCRIPT = """
import json, sys
from lib.errors import KitError
from lib.settings import Settings
from tests.build import generate
try:
    generate(Settings.of(**json.loads(sys.argv[1])))
except KitError as error:
    print(error)
"""


def started(settings: Settings, ready: Callable[[], bool]) -> subprocess.Popen[str]:
    """Return a process that generates, once `ready()`."""
    command = [sys.executable, "-c", SCRIPT, settings.model_dump_json()]
    child = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with within(30):
        while not ready() and child.poll() is None:
            time.sleep(0.01)
    return child


def test_the_first_stop_lets_calls_in_flight_end_and_none_is_paid_twice(
    provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    provider.settings.latency_s = 1.0
    child = started(settings, lambda: provider.in_flight == 4)
    child.send_signal(signal.SIGINT)
    said, trouble = child.communicate(timeout=30)
    assert trouble == ""
    assert "4 calls in flight are paid for" in said
    assert "Interrupted: 0 of 6 made; run again to continue." in said
    assert (provider.calls, dict(provider.rejected)) == (4, {})
    provider.settings.latency_s = 0.0
    assert generate(settings).replayed == 4
    assert provider.stats()["repeated"] == 0


def test_the_second_stop_ends_at_once(provider: Provider, settings: Settings) -> None:
    provider.settings.latency_s = 20.0
    child = started(settings, lambda: provider.in_flight == 4)
    child.send_signal(signal.SIGINT)
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    said, trouble = child.communicate(timeout=10)
    assert trouble == ""
    assert "Interrupted: 0 of 6 made" in said
    assert (provider.calls, provider.rejected["abandoned"]) == (0, 4)


def test_a_wait_between_attempts_ends_when_the_button_is_pressed(provider: Provider, settings: Settings) -> None:
    provider.settings.retry_after = 50
    provider.settings.faults = {"429_retry_after": 1.0}
    child = started(settings, lambda: provider.rejected["429"] == 4)
    time.sleep(1.5)  # the place is kept for a second
    child.send_signal(signal.SIGINT)
    said, trouble = child.communicate(timeout=10)
    assert (trouble, "Interrupted" in said) == ("", True)


def test_a_batch_is_not_waited_for(provider: Provider, settings: Settings) -> None:
    provider.settings.batch_delay_s = 20.0
    batched = settings.model_copy(update={"mode": "batch", "batch_poll_s": 0.1})
    child = started(batched, lambda: bool(provider.stats()["batches"]))
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    said, trouble = child.communicate(timeout=10)
    assert (trouble, "Interrupted" in said) == ("", True)


def test_nothing_more_is_begun_after_the_button_was_pressed() -> None:
    begun: list[int] = []

    async def main() -> None:
        stopping = Stopping(grace_s=10)

        async def work(index: int, _: object) -> None:
            begun.append(index)
            if index == 2:
                stopping.press()
            await asyncio.sleep(0)

        await for_each(work, range(100), width=3, stopping=stopping)

    with pytest.raises(Stopped):
        asyncio.run(main())
    assert begun == [0, 1, 2]


@pytest.mark.parametrize("is_after", [False, True])
def test_a_stop_while_the_loop_is_made_or_closed_leaves_no_trace(is_after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the work begins it never does. After it has ended there is nothing to stop."""
    begun, run = list[int](), asyncio.run

    async def work() -> None:
        begun.append(1)

    def interrupted(coroutine: Coroutine[Any, Any, None]) -> None:
        if not is_after:
            signal.raise_signal(signal.SIGINT)
        run(coroutine)
        if is_after:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(asyncio, "run", interrupted)
    with nullcontext() if is_after else pytest.raises(KeyboardInterrupt):
        finish(work())
    assert len(begun) == is_after
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
