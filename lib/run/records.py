"""The records in a run's files, with their ids checked."""

import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from lib.run.files import RunError, read_jsonl, trouble_told, write_json
from lib.run.folder import Folder
from lib.run.lock import held
from lib.run.manifest import forget_section, read_manifest
from lib.schema import Failure, Sample


def made_samples(folder: Folder) -> Iterator[Sample]:
    """Yield every sample of the run, first the plan's, then what topping up repaired and added.

    Raises RunError where two samples, or two criteria of one sample, share an id.
    """
    seen: set[str] = set()
    yield from _distinct(folder.generated, seen, made_by="01_generate")
    for path in (folder.repaired, folder.topped_up):
        if os.path.lexists(path):
            yield from _distinct(path, seen, made_by="make topup")


def kept_samples(folder: Folder) -> Iterator[Sample]:
    """Yield the kept samples. Raises RunError when the run has not been filtered, or where two samples share an id."""
    return _distinct(folder.filtered, set(), made_by="02_filter")


def recorded_failures(folder: Folder) -> list[Failure]:
    """Return the records of `failures.jsonl`, none when there is no file. Raises RunError, which says what to delete."""
    if not os.path.lexists(folder.failures):
        return []
    remedy = "Delete this line, or the whole file (it only lists what failed), and run again."
    return list(read_jsonl(folder.failures, Failure, made_by="01_generate", remedy=remedy))


def require_sound_records(folder: Folder) -> None:
    """Raise RunError when manifest or failures can't be read, because a pass adds to both after it has paid for replies."""
    read_manifest(folder)
    recorded_failures(folder)


def write_report(folder: Folder, report: BaseModel) -> None:
    """Write `validation_report.json`."""
    with held(folder):
        write_json(folder.validation, report.model_dump(mode="json"))


def forget_top_up(folder: Folder) -> None:
    """Remove the files of topping up, because they belong to samples that are made anew. The journal keeps every reply."""
    with held(folder):
        for path in (folder.repaired, folder.topped_up):
            remove(path)
        forget_section(folder, "top_up")


def remove(path: Path) -> None:
    """Remove the file, if it is there. Raises RunError."""
    with trouble_told(path, doing="removed"):
        path.unlink(missing_ok=True)


def _distinct(path: Path, seen: set[str], *, made_by: str) -> Iterator[Sample]:
    again = f"Run {made_by} again: it writes the file anew."
    for number, sample in enumerate(read_jsonl(path, Sample, made_by=made_by), start=1):
        if sample.id in seen:
            raise RunError(f"{path}, line {number}: there is a sample {sample.id} before this one. {again}")
        ids = [rubric.id for rubric in sample.metadata.rubrics]
        if twice := next((name for name in ids if ids.count(name) > 1), ""):
            raise RunError(f"{path}, line {number}: two criteria of {sample.id} are called {twice}. {again}")
        seen.add(sample.id)
        yield sample
