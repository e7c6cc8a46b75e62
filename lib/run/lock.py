"""One holder at a time: whoever writes to a run's folder holds its lock."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from lib.run.files import RunError, make_folder, remove_unfinished, require_writable, trouble_told
from lib.run.folder import Folder

P = ParamSpec("P")
R = TypeVar("R", bound=Folder)
T = TypeVar("T")


@contextmanager
def held(folder: Folder) -> Iterator[None]:
    """Hold the folder while its files are written. Within one process, a holder may call another function that holds it.

    Raises RunError when another process holds the folder, or when nothing can be written there.
    """
    with _locked(folder.dir / ".lock") as is_outermost:
        if is_outermost:
            remove_unfinished(folder.dir)
            require_writable(folder.dir)
        yield


@contextmanager
def notebooks_held(folder: Folder) -> Iterator[None]:
    """Hold the executed copies while notebooks run headless. Their kernels hold the folder itself.

    Raises RunError when another process runs notebooks of this run, or when a copy can't be written.
    """
    with _locked(folder.dir / ".notebooks.lock"), trouble_told(folder.notebooks, doing="written"):
        yield


def holding(function: Callable[Concatenate[R, P], T]) -> Callable[Concatenate[R, P], T]:
    """Return `function(run, …)` as a function that holds the run's folder while it works.

    Raises RunError when another process holds it, or when there is no such folder.
    """

    @wraps(function)
    def holds(run: R, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not os.path.lexists(run.dir):  # a misspelt name must not leave a folder
            raise RunError(f"{run.dir} is not there yet: run 01_generate with the same RUN first.")
        with held(run):
            return function(run, *args, **kwargs)

    return holds


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock file. Yield whether this process did not hold it before."""
    from filelock import FileLock, Timeout

    make_folder(path.parent)
    lock = FileLock(path, timeout=0, is_singleton=True)  # one object a path, which counts how often this process holds it
    with trouble_told(path, doing="written"):
        try:
            lock.acquire()
        except Timeout:
            raise RunError(
                f"{path.parent}: another run is at work in this folder. Wait for it, stop it, or choose another RUN name."
            ) from None
    try:
        yield lock.lock_counter == 1
    finally:
        lock.release()
