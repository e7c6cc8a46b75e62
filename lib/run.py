"""A run's folder: where its files are, one holder at a time, files written whole or not at all, and the manifest."""

import hashlib
import json
import os
import platform
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lib.errors import KitError
from lib.schema import Sample
from lib.settings import Settings, from_root

R = TypeVar("R", bound=BaseModel)
PLAN_SETTINGS = (
    "seeds_csv", "topics_csv", "on_bad_row", "num_seeds", "samples_per_seed", "subjects", "misconception_types", "random_seed", "model",
    "scenario_effort", "gold_effort", "show_rubrics_to_tutor",
)  # fmt: skip
SIDES = ("train", "validation")
RECORDED_VERSIONS = ("anthropic", "pydantic", "papermill", "pandas", "matplotlib")


class RunError(KitError):
    """The run's folder is not in the state that this step needs."""


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
        return self.dir / f"_checkpoint_{number}.jsonl"


def run_of(settings: Settings) -> Run:
    return Run(settings.run_dir)


@contextmanager
def held(run: Run) -> Iterator[None]:
    """Hold the folder while replies are bought. Raises RunError when another process does."""
    from filelock import FileLock, Timeout

    run.dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run.dir / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(f"{run.dir}: another run is at work in this folder. Wait for it, stop it, or choose another RUN name.") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def whole_file(path: Path, *, binary: bool = False) -> Iterator[Any]:
    """Yield a file (UTF-8 unless `binary`) that takes `path`'s place when all is written and synced; on an error `path` stays as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    how: Any = {"mode": "wb"} if binary else {"mode": "w", "encoding": "utf-8", "newline": "\n"}
    with NamedTemporaryFile(**how, dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            file.close()
            Path(file.name).unlink()
            raise
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def write_jsonl(path: Path, records: Iterable[BaseModel]) -> int:
    """Write one record a line; return how many."""
    count = 0
    with whole_file(path) as file:
        for record in records:
            file.write(json_line(record))
            count += 1
    return count


def write_json(path: Path, value: Any) -> None:
    with whole_file(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=2, allow_nan=False)
        file.write("\n")


def json_line(record: BaseModel) -> str:
    return one_line(record.model_dump_json())


def one_line(text: str) -> str:
    """Return JSON as a line with its end, in which no reader finds another: `str.splitlines` also ends lines at these three characters.

    JSON escapes the others that it ends lines at. Text without them stays as it is.
    """
    for separator in ("\x85", "\u2028", "\u2029"):
        text = text.replace(separator, f"\\u{ord(separator):04x}")
    return text + "\n"


def read_jsonl(path: Path, kind: type[R], *, made_by: str) -> Iterator[R]:
    """Yield the records of `path`. Raises RunError naming the line, or the notebook `made_by` that has yet to be run."""
    try:
        file = path.open(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(f"{path} is not there yet: run {made_by} with the same RUN first.") from None
    with file:
        for number, line in enumerate(file, start=1):
            try:
                yield kind.model_validate_json(line)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in first["loc"])
                raise RunError(f"{path}, line {number}: {where} {first['msg']}. Run {made_by} again: it writes the file anew.") from None


def made_samples(run: Run) -> Iterator[Sample]:
    """Yield every sample of the run: the plan's, then what topping up repaired and added."""
    yield from read_jsonl(run.generated, Sample, made_by="01_generate")
    for path in (run.repaired, run.topped_up):
        if path.exists():
            yield from read_jsonl(path, Sample, made_by="02_filter")


def update_manifest(run: Run, section: str, values: dict[str, Any]) -> None:
    """Put `values` under `section`. Everything that differs between two equal runs lives here: cost, times, versions."""
    manifest = read_manifest(run)
    manifest["versions"] = {"python": platform.python_version(), **{name: version(name) for name in RECORDED_VERSIONS}}
    manifest[section] = values
    if section in ("generation", "judging"):  # labels are of the replies that were judged before
        manifest.pop("people", None)
    write_json(run.manifest, manifest)


def forget_top_up(run: Run) -> None:
    """Take away what topping up added: it belongs to samples that are made anew. The journal still has every reply."""
    for extra in (run.repaired, run.topped_up):
        extra.unlink(missing_ok=True)
    manifest = read_manifest(run)
    if manifest.pop("top_up", None):
        write_json(run.manifest, manifest)


def forget_checkpoints(run: Run, *, beyond: int) -> None:
    """Take away the checkpoints of a longer plan that the folder held before."""
    number = beyond + 1
    while (path := run.checkpoint(number)).exists():
        path.unlink()
        number += 1


def as_planned(settings: Settings) -> Settings:
    """Return `settings` with the plan, the writer and the seeds that the run's samples were made with, as the manifest has them."""
    recorded = read_manifest(run_of(settings)).get("generation", {}).get("settings", {})
    return settings.model_copy(update=Settings.of(**recorded).model_dump(include=set(PLAN_SETTINGS)) if recorded else {})


def as_filtered(settings: Settings) -> Settings:
    """Return `settings` with the threshold that the run was filtered with, and the sheet of people's labels that was last read.

    Raises RunError when what is in the files is not what would be shown: not filtered, filtered at another threshold, or made, repaired
    or judged anew since.
    """
    run, manifest = run_of(settings), read_manifest(run_of(settings))
    if "filtering" not in manifest:
        raise RunError(f"{run.dir} has not been filtered yet: run 02_filter with the same RUN first.")
    threshold, asked = manifest["filtering"]["threshold"], settings.critical_pass_threshold
    if "critical_pass_threshold" in settings.model_fields_set and asked != threshold:
        raise RunError(f"{run.dir} was filtered at {threshold}, not at {asked}: run 02_filter again (make filter) to change that.")
    if manifest["filtering"]["of"] != filtered_from(run):
        raise RunError(f"{run.dir} has changed since it was filtered: run 02_filter again (make filter) first.")
    labels = settings.review_csv
    if "review_csv" not in settings.model_fields_set and from_root(recorded := manifest.get("people", {}).get("review_csv", "")).is_file():
        labels = recorded
    return settings.model_copy(update={"critical_pass_threshold": threshold, "review_csv": labels})


def filtered_from(run: Run) -> dict[str, str]:
    """Return the digests of the files that decide what is kept."""
    digests = {}
    for path in (run.generated, run.repaired, run.topped_up, run.gated, run.evaluations):
        if path.exists():
            with path.open("rb") as file:
                digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def recorded_settings(run: Run) -> Settings:
    """Return the settings that the run was made, and if it was, judged with. Raises RunError when it has not been made."""
    manifest = read_manifest(run)
    if "generation" not in manifest:
        raise RunError(f"{run.dir} has no finished run: its manifest.json does not say how it was made.")
    last = manifest.get("judging", manifest["generation"])["settings"]
    return Settings.of(**last | {name: manifest["generation"]["settings"][name] for name in PLAN_SETTINGS})


def write_parameters(run: Run) -> None:
    """Write `params.yaml`, which papermill takes with -f: all settings but the run's own name and place."""
    settings = recorded_settings(run)
    with whole_file(run.parameters) as file:
        file.write(
            "# python -m papermill -k python3 --log-level ERROR -f params.yaml -r run <a new name> notebooks/01_generate.ipynb out.ipynb\n"
        )
        for name, value in settings.model_dump(mode="json", exclude={"run", "outputs_dir"}).items():
            file.write(f"{name}: {json.dumps(value, ensure_ascii=False)}  # {Settings.model_fields[name].description}\n")


def read_manifest(run: Run) -> dict[str, Any]:
    return json.loads(run.manifest.read_text(encoding="utf-8")) if run.manifest.exists() else {}


class OrderedLines:
    """Lines that come in any order, written in theirs. What waits lies in a temporary file; memory holds two numbers a line."""

    def __init__(self) -> None:
        self._spool = TemporaryFile("w+b")  # noqa: SIM115  # closed by close()
        self._starts, self._lengths = array("q"), array("q")  # a length of 0: not there
        self._count = self._end = 0

    def add(self, index: int, line: str) -> None:
        raw = line.encode("utf-8")
        self._spool.seek(self._end)
        self._spool.write(raw)
        if (lacking := index + 1 - len(self._starts)) > 0:
            self._starts.extend([0] * lacking)
            self._lengths.extend([0] * lacking)
        self._starts[index], self._lengths[index] = self._end, len(raw)
        self._end += len(raw)
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def write(self, path: Path, *, first: int = 0, last: int | None = None) -> None:
        """Write the lines whose index is in first..last (inclusive; all by default) to `path`, in order."""
        end = len(self._starts) if last is None else min(last + 1, len(self._starts))
        with whole_file(path) as file:
            for start, length in zip(self._starts[first:end], self._lengths[first:end], strict=True):
                if length:
                    self._spool.seek(start)
                    file.write(self._spool.read(length).decode("utf-8"))

    def close(self) -> None:
        self._spool.close()
