"""A kernel for notebooks that run without a screen. It runs the interpreter of this process, whatever kernel specs are installed.

`Kernel` starts it, and stops it at the end. `Signals` stops it early: what INT, TERM and HUP do while it is at work. A process
that is killed can do neither. Its kernel then ends by itself within two seconds, because ipykernel watches its parent.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from lib.errors import KitError, plain
from lib.llm.work import GRACE_S

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
START_S = 60  # longest wait for a new kernel
MARGIN_S = 15.0  # after GRACE_S, for what follows the last call
LOOK_S = 0.05  # how often a signal that waits is looked at
TOGETHER_S = 0.5  # signals this close count once: a terminal that closes and its shell both send one, and so do `timeout` and make
ARGUMENTS = ["--log-level=CRITICAL", "--HistoryManager.hist_file=:memory:"]


class Interrupted(Exception):
    """A signal asked to stop, and nothing is under way any more."""


class Signals:
    """As a context manager: INT, TERM and HUP stop the notebooks gently.

    The first interrupts the cell that runs, so that calls in flight can end. The second cancels them, and the third kills the kernel, as
    does a first one that has had no effect for GRACE_S and a little. Signals within TOGETHER_S count once. A signal that was ignored
    before (by `nohup`, say) stays ignored.
    """

    def __init__(self) -> None:
        self.first = 0  # the signal that came first, 0 while none has
        self._count = self._passed_on = 0
        self._counted_at = 0.0  # when one was counted last
        self._group = 0  # the kernel's group of processes
        self._cell: Any = None  # the cell that was handed to the kernel

    def __enter__(self) -> "Signals":
        is_main = threading.current_thread() is threading.main_thread()  # no other thread may set a handler
        wanted = [number for number in SIGNALS if is_main and signal.getsignal(number) is not signal.SIG_IGN]
        self._previous = {number: signal.signal(number, self.came) for number in wanted}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """What a shell makes of a process that a signal ended: 130 for INT, 143 for TERM, 129 for HUP."""
        return 128 + (self.first or signal.SIGINT)

    def came(self, number: int, _frame: object = None) -> None:
        """Take note of a signal. The second raises KeyboardInterrupt when no cell is at work that could end."""
        now = time.monotonic()
        if self.first and now - self._counted_at < TOGETHER_S:
            return
        self.first = self.first or number
        self._counted_at = now
        self._count += 1
        if self._count == 1:
            threading.Thread(target=self._pass_on, daemon=True, name="signals").start()
        elif not self._is_at_work():
            raise KeyboardInterrupt

    def hung_up(self) -> None:
        """Take note that nobody can read the output any more. After a signal that is its consequence, and no signal of its own."""
        if not self.first:
            self.came(signal.SIGHUP)

    def check(self) -> None:
        """Raise Interrupted when a signal came: for the moment before something new is begun."""
        if self.first:
            raise Interrupted

    def kernel_started(self, group: int) -> None:
        self._group, self._passed_on = group, 0

    def kernel_stopped(self) -> None:
        self._group, self._cell = 0, None

    def before_cell(self, *, cell: Any, **_: object) -> None:
        """Hook of nbclient: raises Interrupted instead of beginning a cell."""
        self.check()
        self._cell = cell

    def after_cell(self, **_: object) -> None:
        """Hook of nbclient."""
        self._cell = None

    def _is_at_work(self) -> bool:
        """Whether the kernel has begun the cell: an interrupt that reaches it before has no effect."""
        return self._cell is not None and "iopub.execute_input" in self._cell.metadata.get("execution", {})

    def _pass_on(self) -> None:
        """Interrupt the kernel once for each of the first two signals, as soon as it can be; kill it after the third, or in the end."""
        deadline = time.monotonic() + GRACE_S + MARGIN_S
        while self._count < 3 and time.monotonic() < deadline:
            if self._is_at_work() and self._passed_on < self._count:
                self._passed_on += 1
                self._send(signal.SIGINT)
            time.sleep(LOOK_S)
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self._group:
            with suppress(ProcessLookupError, PermissionError):  # it has ended; macOS says so by PermissionError
                os.killpg(self._group, number)


class Kernel:
    """A kernel at work in `folder`. It starts in the background and first runs `warm_up`, a line of imports.

    So it can start while something else is done. Use it `with kernel.ready(signals):`, or `end()` it.
    """

    def __init__(self, folder: str, *, warm_up: str = "") -> None:
        from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
        from jupyter_client.manager import AsyncKernelManager
        from jupyter_core.utils import run_sync

        # Without folders to look into, `python3` is the spec that ipykernel itself makes: sys.executable -m ipykernel_launcher.
        self._manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
        self._stderr = TemporaryFile()  # noqa: SIM115  # closed by end()
        self._problem: Exception | None = None
        lines = [f"--IPKernelApp.exec_lines={warm_up}"] if warm_up else []
        try:
            run_sync(self._manager.start_kernel)(cwd=folder, extra_arguments=ARGUMENTS + lines, stderr=self._stderr)
        except (OSError, RuntimeError, NoSuchKernel) as error:  # the last is what a missing ipykernel becomes
            self._problem = error

    @contextmanager
    def ready(self, signals: Signals) -> Iterator["AsyncKernelManager"]:
        """Yield the manager once the kernel answers. Afterwards the kernel is gone, with all that it started.

        Raises KitError, with the last line that the kernel wrote, when it does not start.
        """
        from jupyter_core.utils import run_sync

        try:
            if not self._problem:
                signals.kernel_started(self._manager.provisioner.pid)  # type: ignore[union-attr]  # it leads a group of its own
                try:
                    run_sync(self._answer)()
                except (OSError, RuntimeError) as error:  # it died, or does not answer for START_S
                    self._problem = error
            if self._problem:
                raise self._failure()
            yield self._manager
        finally:
            self.end()
            signals.kernel_stopped()

    def is_alive(self) -> bool:
        from jupyter_core.utils import run_sync

        return not self._problem and bool(run_sync(self._manager.is_alive)())

    def end(self) -> None:
        """Stop the kernel at once. Nothing is lost, because what a cell must keep is written when the cell ends."""
        from jupyter_core.utils import run_sync

        if self._stderr.closed:  # it was ended before
            return
        if self._manager.has_kernel:
            run_sync(self._manager.shutdown_kernel)(now=True)
        else:
            run_sync(self._manager.cleanup_resources)()
        self._stderr.close()

    def _failure(self) -> KitError:
        self._stderr.seek(0)
        last = self._stderr.read().strip().rpartition(b"\n")[2].decode(errors="replace")
        return KitError(
            f"The kernel can't be started: {plain(self._problem)}{f' ({plain(last)})' if last else ''}. "
            f"It is `{sys.executable} -m ipykernel_launcher`. "
            "Check that this environment is whole (make clean, then the same command again)."
        )

    async def _answer(self) -> None:
        client = self._manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=START_S)
        finally:
            client.stop_channels()
