"""Runs notebooks through papermill with parameters, and leaves their executed copies in the run's folder.

    python -m lib.commands notebooks 01_generate 02_filter run=quick num_seeds=2

A copy that failed is `01_generate.failed.ipynb`, so that it can't be mistaken for a finished one. A user's mistake is printed as one line.
The exit code is 0, or 1 when a notebook failed, or 130, 143 or 129 when INT, TERM or HUP stopped it.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal, TextIO

from pydantic import BaseModel

from lib.commands.kernel import Interrupted, Kernel, Signals
from lib.errors import KitError
from lib.run.files import RunError, as_record, is_file, make_folder, read_object
from lib.run.lock import notebooks_held
from lib.run.run import Run
from lib.run.runs import known_runs, with_run
from lib.settings import PROJECT_ROOT, settings_of, short_path

IDLE_S = 60  # longest wait, after a cell's end, for what it printed
WARM_UP = {  # what takes long to import in each notebook
    "01_generate": "import lib.show, lib.generate, anthropic",
    "02_filter": "import lib.show, lib.filter, anthropic, pandas, rensa",
    "03_analyze": "import lib.show, lib.analyze, pandas, matplotlib.pyplot",
    "04_validate": "import lib.show, lib.publish, pandas, pyarrow.parquet",
    "05_evaluate": "import lib.show, lib.evaluate, pandas, pyarrow.parquet",
}


class _Cell(BaseModel):
    cell_type: str
    source: str | list[str]
    metadata: dict[str, Any]


class _Notebook(BaseModel):
    """What papermill needs of a notebook; it may hold more."""

    nbformat: Literal[4]
    nbformat_minor: int
    metadata: dict[str, Any]
    cells: list[_Cell]


class Screen:
    """A stream to a person. When the terminal or the pipe behind it is gone, that counts as a hang-up, and the rest is not written."""

    def __init__(self, stream: TextIO | None, signals: Signals) -> None:
        self._stream, self._signals = stream, signals
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal has no characters for

    def print(self, line: str) -> None:
        self.write(f"{line}\n")

    def write(self, text: str) -> None:
        if self._stream is None:  # Python's word for one that was closed from the start
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())  # so that nothing fails for it again
            self._signals.hung_up()

    def flush(self) -> None:
        """Every `write` flushes."""


def run_notebook(name: str, pairs: list[str], *, kernel: Kernel, begun: Callable[[], None], signals: Signals) -> Path:
    """Execute `notebooks/<name>.ipynb` in this kernel and return the executed copy. Call `begun` when the kernel is ready.

    Raises KitError with the notebook's own error, and Interrupted when a signal ended it.
    """
    # jsonschema would compile a grammar of web addresses for a second, which no notebook needs.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # so that importing it fails
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what matters of it is raised, too
    settings = settings_of(pairs)
    wanted = settings.model_dump(mode="json", include=settings.model_fields_set)
    done = settings.run_dir / "notebooks" / f"{name}.ipynb"
    failed = done.with_suffix(".failed.ipynb")
    source = checked_notebook(PROJECT_ROOT / "notebooks" / done.name)
    make_folder(done.parent)
    try:
        with kernel.ready(signals) as manager:
            begun()
            papermill.execute_notebook(
                source, str(failed).replace("{", "{{").replace("}", "}}"),  # papermill formats it
                parameters=wanted, kernel_name="python3", language="python", km=manager, progress_bar=False, cwd=PROJECT_ROOT,
                stdout_file=Screen(sys.stdout, signals), stderr_file=Screen(sys.stderr, signals), coalesce_streams=True,
                iopub_timeout=IDLE_S, request_save_on_cell_execute=False,
                on_cell_start=signals.before_cell, on_cell_executed=signals.after_cell,
            )  # fmt: skip
    except PapermillExecutionError as error:
        if signals.first and "Interrupt" in f"{error.ename} {error.evalue}":  # KeyboardInterrupt, or what a pass made of it
            raise Interrupted from None
        raise KitError(f"{error.ename}: {error.evalue}\n(executed so far: {short_path(failed)})") from None
    except DeadKernelError:
        signals.check()
        raise KitError("The kernel died. What was paid for is in the journal: run the same command again to go on.") from None
    _fold_defaults(failed)
    failed.replace(done)
    return done


def _fold_defaults(copy: Path) -> None:
    """Fold the cell of default values in an executed copy in which papermill has put other values below it."""
    import nbformat

    notebook = nbformat.read(copy, as_version=4)  # type: ignore[no-untyped-call]  # nbformat has no types
    by_tag = {tag: cell for cell in notebook.cells for tag in cell.metadata.get("tags", ())}
    if "injected-parameters" in by_tag and "parameters" in by_tag:
        by_tag["parameters"].metadata["jupyter"] = {"source_hidden": True}
        nbformat.write(notebook, copy)  # type: ignore[no-untyped-call]


def checked_notebook(path: Path) -> Path:
    """Return `path`. Raises KitError when no notebook is there that papermill could run."""
    if not is_file(path):
        known = ", ".join(sorted(other.stem for other in path.parent.glob("*.ipynb")))
        raise KitError(f"There is no notebook {path.stem}. There are: {known}.")
    remedy = f"Take it back: git checkout {short_path(path)}"
    as_record(read_object(path, remedy=remedy), _Notebook, where=str(path), remedy=remedy)
    return path


def run_notebooks(names: Iterable[str], pairs: list[str]) -> int:
    """Run the notebooks in order. Return the exit code, after printing what went wrong.

    Once a notebook is at work, the kernel of the next one is started, because starting and importing take seconds.
    """
    os.environ["TUTORING_HEADLESS"] = "1"
    order, kernels = list(names), dict[str, Kernel]()

    def start(several: list[str]) -> None:
        kernels.update({name: Kernel(str(PROJECT_ROOT), warm_up=WARM_UP.get(name, "")) for name in several})

    with Signals() as signals:
        out, err = Screen(sys.stdout, signals), Screen(sys.stderr, signals)
        try:
            for place, name in enumerate(order):
                out.print(f"── {name} ──")
                if name != "01_generate":
                    pairs = _named(pairs, out=out)
                checked_notebook(PROJECT_ROOT / "notebooks" / f"{name}.ipynb")
                run = Run(settings_of(pairs))
                if name != "01_generate":  # a misspelt name must not leave a folder
                    require_run(run)
                with notebooks_held(run):  # a second `make` must not write over the first one's copies
                    if name not in kernels or not kernels[name].is_alive():  # it may have died while it waited
                        start([name])
                    following = partial(start, order[place + 1 : place + 2])
                    run_notebook(name, pairs, kernel=kernels[name], begun=following, signals=signals)
                signals.check()
        except KitError as error:
            err.print(f"\n{name}: {error}")
            return 1
        except (Interrupted, KeyboardInterrupt):
            err.print(f"\n{name}: interrupted; run again to continue.")
            return signals.exit_code
        finally:
            for kernel in kernels.values():
                kernel.end()
    return 0


def _named(pairs: list[str], *, out: Screen) -> list[str]:
    """Return the words with the name of a run. Where they name none, it is the last one made, and this is printed."""
    if (named := with_run(pairs)) != pairs:
        out.print(f"The last run made is {named[-1].removeprefix('run=')}. RUN=<name> chooses another.")
    return named


def require_run(run: Run) -> None:
    """Raise RunError when there is no such run, and name the runs that there are."""
    if not run.dir.exists():
        raise RunError(f"There is no run in {short_path(run.dir)}. {known_runs(run.dir.parent)} To make it: make run RUN={run.dir.name}")


def main(arguments: list[str]) -> int:
    """Run the notebooks named first, with the `name=value` words that follow."""
    return run_notebooks((word for word in arguments if "=" not in word), [word for word in arguments if "=" in word])
