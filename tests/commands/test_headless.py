"""Notebooks without a screen: whose kernel they run in, what a signal does to them, and what a person reads when it can't be done."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from pathlib import Path
from types import SimpleNamespace

import psutil  # comes with ipykernel
import pytest
from hypothesis import example, given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from lib.commands import kernel
from lib.commands.kernel import Interrupted, Signals
from lib.commands.notebooks import Screen, checked_notebook
from lib.errors import KitError
from lib.llm.ledger import ledger
from lib.run.folder import Folder
from lib.settings import PROJECT_ROOT, Settings
from tests.build import generate
from tests.provider import Provider

CALLS = 6  # in flight


def command(folder: Path, *words: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "lib.commands",
        "notebooks",
        *words,
        f"OUTPUTS_DIR={folder}",
        "RUN=s",
        "BUDGET_USD=200",
        f"MAX_CONCURRENCY={CALLS}",
    ]


def headless(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *words), cwd=PROJECT_ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def kernels_of(process: int) -> list[psutil.Process]:
    children = psutil.Process(process).children(recursive=True)
    return [child for child in children if "ipykernel_launcher" in " ".join(child.cmdline())]


def wait_for(is_so: Callable[[], bool], *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def at_work(words: list[str], provider: Provider) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """Yield the process and its kernel once calls are in flight; afterwards the process is gone."""
    running = subprocess.Popen(words, cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: provider.calls >= CALLS and provider.in_flight > 0)
        yield running, kernels_of(running.pid)[0]
    finally:
        running.kill()
        running.communicate()


def journalled(folder: Path) -> int:
    return sum(line.calls for line in ledger(Folder(folder / "s").journal) if line.stage != "canary")


# ── signals ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_signal_lets_calls_in_flight_end_begins_no_other_and_leaves_no_kernel(provider: Provider, tmp_path: Path) -> None:
    """What was paid for is kept: the same command goes on and pays nothing twice."""
    provider.settings.latency_s = 0.5
    pairs = ("NUM_SEEDS=10", "VERIFY_SCENARIOS=false")
    with at_work(command(tmp_path, "01_generate", "02_filter", *pairs), provider) as (running, its_kernel):
        before = provider.calls
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
        assert not its_kernel.is_running()
    assert (running.returncode, said) == (130, "\n01_generate: interrupted; run again to continue.\n")
    assert before < provider.calls <= before + CALLS
    assert journalled(tmp_path) == provider.calls < 40
    assert provider.stats()["rejected"] == {}
    provider.settings.latency_s = 0.0
    assert generate(Settings.of(outputs_dir=str(tmp_path), run="s", num_seeds=10, verify_scenarios=False)).done == 20
    assert (provider.calls, provider.stats()["repeated"]) == (40, 0)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_exit_code_is_what_a_shell_makes_of_the_first_signal(number: int, exit_code: int) -> None:
    with Signals() as it:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)
        assert it.exit_code == exit_code


def test_a_second_signal_cancels_the_calls_in_flight(provider: Provider, tmp_path: Path) -> None:
    with at_work(command(tmp_path, "01_generate", "NUM_SEEDS=50"), provider) as (running, its_kernel):
        provider.settings.latency_s = 300.0
        wait_for(lambda: provider.in_flight == CALLS)
        time.sleep(0.2)
        running.send_signal(signal.SIGINT)
        time.sleep(kernel.TOGETHER_S + 0.2)
        assert running.poll() is None, "the calls in flight may end"
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=15)
        assert not its_kernel.is_running()
    assert (running.returncode, said) == (130, "\n01_generate: interrupted; run again to continue.\n")


IN_A_TERMINAL = "import os, sys; os.login_tty(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"


def test_a_terminal_that_closes_lets_calls_in_flight_end_although_its_shell_sends_a_signal_too(provider: Provider, tmp_path: Path) -> None:
    provider.settings.latency_s = 1.0
    terminal, inside = os.openpty()
    words = [sys.executable, "-c", IN_A_TERMINAL, str(inside), *command(tmp_path, "01_generate", "NUM_SEEDS=50")]
    with subprocess.Popen(words, cwd=PROJECT_ROOT, pass_fds=[inside]) as running:
        try:
            os.close(inside)
            wait_for(lambda: provider.in_flight == CALLS)
            [its_kernel] = kernels_of(running.pid)
            time.sleep(0.2)
            os.close(terminal)
            time.sleep(0.1)
            running.send_signal(signal.SIGHUP)
            assert running.wait(timeout=30) == 129
            assert not its_kernel.is_running()
        finally:
            running.kill()
    assert provider.stats()["rejected"] == {}
    assert journalled(tmp_path) == provider.calls == CALLS


def test_a_process_that_is_killed_leaves_no_kernel_that_goes_on_paying(provider: Provider, tmp_path: Path) -> None:
    provider.settings.latency_s = 0.1
    with at_work(command(tmp_path, "01_generate", "NUM_SEEDS=250"), provider) as (running, its_kernel):
        running.kill()
        its_kernel.wait(timeout=5)
    calls = provider.calls
    time.sleep(0.5)
    assert provider.calls == calls


def test_a_signal_that_is_ignored_stays_ignored_as_under_nohup() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert callable(signal.getsignal(signal.SIGTERM))
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_a_terminal_or_pipe_that_is_gone_counts_as_a_hang_up_and_fails_once() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    signals = Signals()
    with os.fdopen(writer, "w") as stream:
        screen = Screen(stream, signals)
        screen.print("nobody reads this")
        screen.print("nor this")
    assert signals.exit_code == 129
    with pytest.raises(Interrupted):
        signals.check()


def test_a_signal_before_the_kernel_is_ready_begins_no_cell(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    running = subprocess.Popen(command(tmp_path, "03_analyze"), cwd=PROJECT_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout and running.stdout.readline() == "── 03_analyze ──\n"
    running.terminate()
    _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (143, "\n03_analyze: interrupted; run again to continue.\n")


@pytest.fixture
def signals() -> Iterator[tuple[Signals, subprocess.Popen[str]]]:
    """Signals at work, and a stand-in for the kernel: it tells of each interrupt and goes on."""
    script = "import signal, time; signal.signal(signal.SIGINT, lambda *_: print('interrupted', flush=True)); print('ready', flush=True)"
    script += "\nwhile True: time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True) as stand_in:
        assert stand_in.stdout and stand_in.stdout.readline() == "ready\n"
        with Signals() as signals:
            signals.kernel_started(stand_in.pid)
            yield signals, stand_in
        stand_in.kill()


BEGUN = {"execution": {"iopub.execute_input": "now"}}


def test_an_interrupt_waits_until_the_kernel_has_begun_the_cell(signals: tuple[Signals, subprocess.Popen[str]]) -> None:
    """A kernel that is idle ignores it."""
    it, stand_in = signals
    cell = SimpleNamespace(metadata={"execution": {}})
    it.before_cell(cell=cell)
    it.came(signal.SIGTERM)
    assert stand_in.stdout and select.select([stand_in.stdout], [], [], 0.3)[0] == []
    cell.metadata = BEGUN
    assert stand_in.stdout.readline() == "interrupted\n"
    assert it.exit_code == 143


def test_signals_that_come_together_count_once(signals: tuple[Signals, subprocess.Popen[str]]) -> None:
    it, stand_in = signals
    it.before_cell(cell=SimpleNamespace(metadata=BEGUN))
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
        it.came(number)
    assert stand_in.stdout and stand_in.stdout.readline() == "interrupted\n"
    assert select.select([stand_in.stdout], [], [], 0.3)[0] == []
    assert it.exit_code == 143


def test_output_that_fails_after_a_signal_is_no_second_one(signals: tuple[Signals, subprocess.Popen[str]]) -> None:
    it, stand_in = signals
    it.before_cell(cell=SimpleNamespace(metadata=BEGUN))
    it.came(signal.SIGHUP)
    assert stand_in.stdout and stand_in.stdout.readline() == "interrupted\n"
    time.sleep(kernel.TOGETHER_S)
    it.hung_up()
    assert select.select([stand_in.stdout], [], [], 0.3)[0] == []


def test_a_third_signal_kills_the_kernel(signals: tuple[Signals, subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "TOGETHER_S", 0.0)
    it, stand_in = signals
    it.before_cell(cell=SimpleNamespace(metadata=BEGUN))
    for _ in range(3):
        it.came(signal.SIGINT)
    assert stand_in.wait(timeout=5) == -signal.SIGKILL


def test_a_kernel_that_heeds_no_signal_is_killed_in_the_end(
    signals: tuple[Signals, subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "GRACE_S", 0.3)
    monkeypatch.setattr(kernel, "MARGIN_S", 0.0)
    it, stand_in = signals
    it.before_cell(cell=SimpleNamespace(metadata=BEGUN))
    it.came(signal.SIGHUP)
    assert stand_in.wait(timeout=5) == -signal.SIGKILL


def test_a_second_signal_ends_at_once_what_is_no_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "TOGETHER_S", 0.0)
    it = Signals()
    it.came(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        it.came(signal.SIGINT)


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in kernel.SIGNALS]
    with Signals():
        assert [signal.getsignal(number) for number in kernel.SIGNALS] != before
    assert [signal.getsignal(number) for number in kernel.SIGNALS] == before


STOPPED_IN_A_KERNEL = """
import asyncio, gc, os, signal, threading
from lib.llm.loop import finish

async def cell():
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    try:
        finish(asyncio.sleep(30))
    except KeyboardInterrupt:
        print("stopped")
    gc.collect()
    await asyncio.sleep(0.1)

asyncio.run(cell())
"""


def test_stopping_what_runs_inside_a_kernels_loop_leaves_no_exception_that_was_never_retrieved() -> None:
    done = subprocess.run([sys.executable, "-c", STOPPED_IN_A_KERNEL], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("stopped\n", "")


# ── kernels ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def filtered_first(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """Notebook 2 before notebook 1, with another kernel of the same name on Jupyter's path."""
    folder = tmp_path_factory.mktemp("another kernel")
    (folder / "s").mkdir()
    spec = folder / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["false", "{connection_file}"], "display_name": "another", "language": "python"}))
    return headless(folder, "02_filter", JUPYTER_PATH=str(folder))


def test_filtering_before_generating_names_the_notebook_to_run(filtered_first: subprocess.CompletedProcess[str]) -> None:
    assert filtered_first.returncode == 1
    assert "run 01_generate with the same RUN first" in filtered_first.stderr


def test_a_misspelt_run_is_one_line_that_lists_the_runs_there_are_and_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.json").write_text("{}")
    done = headless(tmp_path, "03_analyze")
    assert done.returncode == 1
    assert f"There is no run in {tmp_path / 's'}. Runs in {tmp_path}: mine. To make it: make run RUN=s" in done.stderr
    assert not (tmp_path / "s").exists()


def test_another_python3_kernel_on_the_path_is_not_used(filtered_first: subprocess.CompletedProcess[str]) -> None:
    assert "can't be started" not in filtered_first.stderr
    assert "RunError" in filtered_first.stderr, "what the notebook itself raises"


def test_a_kernel_that_does_not_start_is_one_line_with_the_cause(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "ipykernel_launcher.py").write_text("raise ImportError('half an environment')")
    done = headless(tmp_path, "03_analyze", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("\n03_analyze: The kernel can't be started") and len(done.stderr.strip().splitlines()) == 1
    assert "ImportError: half an environment" in done.stderr and sys.executable in done.stderr


def test_a_kernel_that_died_while_it_waited_is_known_and_can_be_ended_twice() -> None:
    waiting = kernel.Kernel(str(PROJECT_ROOT))
    assert waiting.is_alive()
    waiting.end()
    waiting.end()
    assert not waiting.is_alive()


# ── notebooks and disks ──────────────────────────────────────────────────────────────────────────────────────────────


NO_NOTEBOOKS = [b"", b"<<<<<<< HEAD\n{}", b"[]", b"null", b"{}", b'{"nbformat": "x"}', b"\xff\xfe{}", b'{"nbformat": 4}', b"[" * 100_000]


@pytest.mark.parametrize("raw", NO_NOTEBOOKS, ids=lambda raw: repr(raw[:20]))
def test_a_broken_notebook_is_one_line_that_says_how_to_take_it_back(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "01_generate.ipynb"
    path.write_bytes(raw)
    with pytest.raises(KitError, match=r"01_generate.ipynb: .*\. Take it back: git checkout .*01_generate.ipynb") as said:
        checked_notebook(path)
    assert len(str(said.value).splitlines()) == 1


values = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
more = st.dictionaries(st.sampled_from(["nbformat_minor", "metadata", "cells", "cell_type", "source", "id"]), values)
parts = {
    "nbformat": st.just(4) | values,
    "nbformat_minor": st.just(5) | values,
    "metadata": more | values,
    "cells": st.lists(more) | values,
}


@given(st.fixed_dictionaries({}, optional=parts))
@example({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []})
@example({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []})
@bounded(max_examples=50, deadline=None)
def test_any_json_object_is_a_notebook_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, value: dict[str, object]) -> None:
    path = tmp_path_factory.getbasetemp() / "any.ipynb"
    path.write_text(json.dumps(value), "utf-8")
    try:
        assert checked_notebook(path) == path
    except KitError as error:
        assert "Take it back" in str(error)


def test_a_notebook_that_is_not_there_is_one_line_that_lists_those_that_are() -> None:
    known = "01_generate, 02_filter, 03_analyze, 04_validate, 05_evaluate"
    with pytest.raises(KitError, match=rf"^There is no notebook 06_more\. There are: {known}\.$"):
        checked_notebook(PROJECT_ROOT / "notebooks" / "06_more.ipynb")


def test_a_terminal_without_the_characters_shows_others() -> None:
    written = BytesIO()
    screen = Screen(TextIOWrapper(written, encoding="ascii"), Signals())
    screen.print("── 01_generate ──")
    assert written.getvalue() == b"?? 01_generate ??\n"


def test_a_copy_that_the_disk_does_not_take_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    words = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *command(tmp_path, "03_analyze")]
    done = subprocess.run(words, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "notebooks: can't be written (File too large)" in done.stderr and len(done.stderr.strip().splitlines()) == 1
