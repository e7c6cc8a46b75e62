"""A run's folder: the names in it, one holder at a time, and its records with their ids checked."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from pydantic import BaseModel

from lib.run.files import RunError, make_folder, read_jsonl, remove_unfinished, require_writable, trouble_told, write_json
from lib.schema import Failure, Sample
from lib.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")
SIDES = ("train", "validation")
OLD_CHECKPOINTS = "_checkpoint_*.jsonl"  # what earlier versions called them


@dataclass(frozen=True, slots=True)
class Run:
    """The folder of one run and the names in it."""

    dir: Path

    @property
    def journal(self) -> Path:
        return self.dir / "journal.sqlite"

    @property
    def generated(self) -> Path:
        return self.dir / "tutoring_samples_generated.jsonl"

    @property
    def repaired(self) -> Path:
        return self.dir / "tutoring_samples_repaired.jsonl"

    @property
    def topped_up(self) -> Path:
        return self.dir / "tutoring_samples_topped_up.jsonl"

    @property
    def gated(self) -> Path:
        return self.dir / "gated.jsonl"

    @property
    def planted(self) -> Path:
        return self.dir / "planted.jsonl"

    @property
    def review(self) -> Path:
        return self.dir / "review.csv"

    @property
    def failures(self) -> Path:
        return self.dir / "failures.jsonl"

    @property
    def evaluations(self) -> Path:
        return self.dir / "evaluations.jsonl"

    @property
    def filtered(self) -> Path:
        return self.dir / "tutoring_samples_filtered.jsonl"

    @property
    def dropped(self) -> Path:
        return self.dir / "dropped.jsonl"

    @property
    def finetune(self) -> Path:
        return self.dir / "tutoring_finetune_openai.jsonl"

    @property
    def statistics(self) -> Path:
        return self.dir / "filtering_statistics.json"

    @property
    def validation(self) -> Path:
        return self.dir / "validation_report.json"

    @property
    def manifest(self) -> Path:
        return self.dir / "manifest.json"

    @property
    def parameters(self) -> Path:
        return self.dir / "params.yaml"

    @property
    def figures(self) -> Path:
        return self.dir / "figures"

    @property
    def dataset(self) -> Path:
        return self.dir / "dataset"

    def dataset_files(self) -> list[Path]:
        """What the kit itself writes there; anything else in the folder is the user's."""
        return [self.dataset / "README.md"] + [self.dataset / name for side in SIDES for name in (f"{side}.jsonl", f"data/{side}.parquet")]

    def checkpoint(self, number: int) -> Path:
        return self.dir / f"{self.generated.stem}_checkpoint_{number}.jsonl"

    def checkpoints(self) -> Iterator[tuple[int, Path]]:
        """Yield the number and the path of each checkpoint in the folder."""
        for path in self.dir.glob(f"{self.generated.stem}_checkpoint_*.jsonl"):
            if found := re.fullmatch(r".*_checkpoint_(\d+)\.jsonl", path.name):
                yield int(found[1]), path


def run_of(settings: Settings) -> Run:
    return Run(settings.run_dir)


# ── one holder at a time ─────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def held(run: Run) -> Iterator[None]:
    """Hold the folder while its files are written; within one process, what holds it may call what holds it too.

    Raises RunError when another process holds it, or when nothing can be written there.
    """
    with _locked(run.dir / ".lock") as is_outermost:
        if is_outermost:
            remove_unfinished(run.dir)
            require_writable(run.dir)
        yield


@contextmanager
def notebooks_held(run: Run) -> Iterator[None]:
    """Hold the executed copies in the folder while notebooks run without a screen. Their kernels hold the folder itself.

    Raises RunError when another process does the same, or when a copy can't be written.
    """
    with _locked(run.dir / ".notebooks.lock"), trouble_told(run.dir / "notebooks", doing="written"):
        yield


def holding(function: Callable[Concatenate[Settings, P], T]) -> Callable[Concatenate[Settings, P], T]:
    """Return `function(settings, …)` as one that holds the run's folder while it works.

    Raises RunError when another process does, or when there is no such folder.
    """

    @wraps(function)
    def holds(settings: Settings, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if not os.path.lexists(settings.run_dir):  # a misspelt name must not leave a folder
            raise RunError(f"{settings.run_dir} is not there yet: run 01_generate with the same RUN first.")
        with held(run_of(settings)):
            return function(settings, *args, **kwargs)

    return holds


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock file; yield whether this process did not hold it already."""
    from filelock import FileLock, Timeout

    make_folder(path.parent)
    lock = FileLock(path, timeout=0, is_singleton=True)  # one object a path: a lock counts how often its own process takes it
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


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def made_samples(run: Run) -> Iterator[Sample]:
    """Yield every sample of the run: the plan's, then what topping up repaired and added.

    Raises RunError where an id stands twice, or where a sample's criteria share one.
    """
    seen: set[str] = set()
    yield from _distinct(run.generated, seen, made_by="01_generate")
    for path in (run.repaired, run.topped_up):
        if os.path.lexists(path):
            yield from _distinct(path, seen, made_by="make topup")


def kept_samples(run: Run) -> Iterator[Sample]:
    """Yield the samples that were kept. Raises RunError when the run has not been filtered, or where an id stands twice."""
    return _distinct(run.filtered, set(), made_by="02_filter")


def recorded_failures(run: Run) -> list[Failure]:
    """Return what `failures.jsonl` holds; nothing when it is not there. Raises RunError, which says what to delete."""
    if not os.path.lexists(run.failures):
        return []
    remedy = "Delete this line, or the whole file (it only lists what failed), and run again."
    return list(read_jsonl(run.failures, Failure, made_by="01_generate", remedy=remedy))


def write_validation(run: Run, report: BaseModel) -> None:
    """Write `validation_report.json`."""
    with held(run):
        write_json(run.validation, report.model_dump(mode="json"))


def forget_checkpoints(run: Run, *, beyond: int) -> None:
    """Remove the checkpoints of a longer plan that the folder held before, and those of earlier versions, which had other names."""
    surplus = [path for number, path in run.checkpoints() if number > beyond]
    for path in (*surplus, *run.dir.glob(OLD_CHECKPOINTS)):
        remove(path)


def remove(path: Path) -> None:
    """Remove the file, if it is there. Raises RunError."""
    with trouble_told(path, doing="removed"):
        path.unlink(missing_ok=True)


def _distinct(path: Path, seen: set[str], *, made_by: str) -> Iterator[Sample]:
    for number, sample in enumerate(read_jsonl(path, Sample, made_by=made_by), start=1):
        if sample.id in seen:
            raise RunError(
                f"{path}, line {number}: there is a sample {sample.id} before this one. Run {made_by} again: it writes the file anew."
            )
        if twice := _twice(rubric.id for rubric in sample.metadata.rubrics):
            raise RunError(
                f"{path}, line {number}: two criteria of {sample.id} are called {twice}. Run {made_by} again: it writes the file anew."
            )
        seen.add(sample.id)
        yield sample


def _twice(names: Iterable[str]) -> str:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), "")  # type: ignore[func-returns-value]
