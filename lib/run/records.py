"""The records in a run's files, with their ids checked."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from lib.run.files import RunError, as_record, read_jsonl, read_object, trouble_told, whole_file, write_json
from lib.run.folder import Folder
from lib.run.lock import held
from lib.run.manifest import forget_section, read_manifest
from lib.schema import Decision, DroppedScenario, Evaluation, Failure, Planted, PlantedExplanation, Sample

R = TypeVar("R", bound=BaseModel)
S = TypeVar("S", bound=BaseModel)
AGAIN = "Run 02_filter again (make filter): it writes the file anew, and nothing is paid twice."


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


def dropped_scenarios(folder: Folder, *, beyond: bool = True) -> Iterator[DroppedScenario]:
    """Yield the scenarios that the verifier dropped, those `beyond` the plan too. Runs of earlier versions have none."""
    for path, made_by in ((folder.dropped_scenarios, "01_generate"), (folder.dropped_beyond, "make topup")):
        if os.path.lexists(path) and (beyond or path == folder.dropped_scenarios):
            yield from read_jsonl(path, DroppedScenario, made_by=made_by)


def planted_explanations(folder: Folder) -> list[PlantedExplanation]:
    """Return the explanations that were made wrong on purpose. Runs of earlier versions have none."""
    path = folder.planted_explanations
    return list(read_jsonl(path, PlantedExplanation, made_by="01_generate")) if os.path.lexists(path) else []


class _Named(BaseModel):
    id: str


def kept_ids(folder: Folder) -> set[str]:
    """Return the ids of the kept samples. Raises RunError when the run has not been filtered."""
    return {sample.id for sample in read_jsonl(folder.filtered, _Named, made_by="02_filter")}


class ById(Generic[R]):
    """The records of a file, read one at a time by their id. Memory holds one number a record. A file that is not there has none."""

    def __init__(self, path: Path, kind: type[R], *, made_by: str) -> None:
        self._path, self._kind, self._remedy = path, kind, f"Run {made_by} again: it writes the file anew."
        self._starts = dict[str, tuple[int, int]]()  # where a record's line starts, in bytes, and its number
        if not os.path.lexists(path):
            return
        start = 0
        with trouble_told(path, doing="read"), path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                self._starts[self._record(raw, _Named, number=number).id] = start, number
                start += len(raw)

    def __len__(self) -> int:
        return len(self._starts)

    def __contains__(self, name: str) -> bool:
        return name in self._starts

    def get(self, name: str) -> R | None:
        """Return the record of this id, if there is one. Raises RunError when it does not fit."""
        if name not in self._starts:
            return None
        start, number = self._starts[name]
        with trouble_told(self._path, doing="read"), self._path.open("rb") as file:
            file.seek(start)
            return self._record(file.readline(), self._kind, number=number)

    def _record(self, raw: bytes, kind: type[S], *, number: int) -> S:
        return as_record(raw, kind, where=f"{self._path}, line {number}", remedy=self._remedy)


def recorded_failures(folder: Folder) -> list[Failure]:
    """Return the records of `failures.jsonl`, none when there is no file. Raises RunError, which says what to delete."""
    if not os.path.lexists(folder.failures):
        return []
    remedy = "Delete this line, or the whole file (it only lists what failed), and run again."
    return list(read_jsonl(folder.failures, Failure, made_by="01_generate", remedy=remedy))


def evaluations(folder: Folder) -> Iterator[Evaluation]:
    """Yield the evaluations in their order. Raises RunError when the run has not been judged."""
    return read_jsonl(folder.evaluations, Evaluation, made_by="02_filter")


def planted_copies(folder: Folder) -> Iterator[Planted]:
    """Yield the planted failures. Raises RunError when the run has not been judged."""
    return read_jsonl(folder.planted, Planted, made_by="02_filter")


def gate_decisions(folder: Folder) -> dict[str, Decision]:
    """Return the decisions of the gates by id. Raises RunError when they have not been run, or where two share an id."""
    return _by_id(folder.gated, made_by="02_filter from its top")


def drop_decisions(folder: Folder) -> dict[str, Decision]:
    """Return the decisions on all samples that were not kept, by id. Raises RunError when the run has not been filtered."""
    return _by_id(folder.dropped, made_by="02_filter")


def read_result(path: Path, kind: type[R], *, made_by: str) -> R:
    """Return a JSON file of the run as a record. Raises RunError with the name of the notebook that writes it."""
    remedy = f"Run {made_by} again: it writes the file anew."
    if not path.exists():
        raise RunError(f"{path} is not there yet: run {made_by} with the same RUN first.")
    return as_record(read_object(path, remedy=remedy), kind, where=str(path), remedy=remedy)


def require_sound_records(folder: Folder) -> None:
    """Raise RunError when manifest or failures can't be read, because a pass adds to both after it has paid for replies."""
    read_manifest(folder)
    recorded_failures(folder)


def write_report(folder: Folder, report: BaseModel) -> None:
    """Write `validation_report.json`."""
    with held(folder):
        write_json(folder.validation, report.model_dump(mode="json"))


def save_figure(folder: Folder, figure: Any, *, name: str) -> Path:
    """Save a matplotlib figure as `figures/<name>.png` and return the path."""
    path = folder.figures / f"{name}.png"
    with held(folder), whole_file(path, binary=True) as file:
        figure.savefig(file, format="png", bbox_inches="tight")
    return path


def forget_top_up(folder: Folder) -> None:
    """Remove the files of topping up, because they belong to samples that are made anew. The journal keeps every reply."""
    with held(folder):
        for path in (folder.repaired, folder.topped_up, folder.dropped_beyond):
            remove(path)
        forget_section(folder, "top_up")


def forget_results(folder: Folder) -> None:
    """Remove what notebooks 2 to 4 wrote, because it belongs to samples that are made anew. The journal keeps every reply."""
    judged = (folder.gated, folder.evaluations, folder.planted, folder.filtered, folder.dropped, folder.finetune, folder.statistics)
    with held(folder):
        for path in (*judged, folder.validation, folder.report, folder.review_form, *folder.dataset_files(), *folder.figure_files()):
            remove(path)
        for section in ("gating", "judging", "filtering", "dataset"):
            forget_section(folder, section)


def remove(path: Path) -> None:
    """Remove the file, if it is there. Raises RunError."""
    with trouble_told(path, doing="removed"):
        path.unlink(missing_ok=True)


def _by_id(path: Path, *, made_by: str) -> dict[str, Decision]:
    found: dict[str, Decision] = {}
    for line, decision in enumerate(read_jsonl(path, Decision, made_by=made_by), start=1):
        if decision.id in found:
            raise RunError(f"{path}, line {line}: {decision.id} stands twice. {AGAIN}")
        found[decision.id] = decision
    return found


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
