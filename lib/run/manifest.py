"""A run's manifest: everything in which two equal runs differ (cost, times, versions), and the settings that the run was made with."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from lib.run.files import RunError, as_record, is_file, read_object, sha256_of, whole_file, write_json
from lib.run.folder import Run, held, recorded_failures, remove, run_of
from lib.settings import Settings, from_root

PLAN_SETTINGS = (
    "seeds_csv", "topics_csv", "on_bad_row", "num_seeds", "samples_per_seed", "subjects", "misconception_types", "random_seed", "model",
    "scenario_effort", "gold_effort", "show_rubrics_to_tutor",
)  # fmt: skip
RECORDED_VERSIONS = ("anthropic", "pydantic", "papermill", "pandas", "matplotlib")
REMEDY = "Delete the file and run 01_generate and 02_filter again (make run): every paid reply is in the journal, nothing is paid twice."
Count = Annotated[int, Field(ge=0)]


# ── what it holds ────────────────────────────────────────────────────────────────────────────────────────────────────
# What is read is declared. A key that an earlier version did not write has a default; keys that are not read may be anything.


class _Section(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class _Counts(_Section):
    total: Count = 0
    done: Count = 0
    failed: Count = 0


class _LedgerLine(_Section):
    stage: str = ""
    model: str = ""
    calls: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    cost_usd: Annotated[float, Field(ge=0)] = 0.0


class _Pass(_Section):
    settings: dict[str, Any] = {}
    counts: _Counts = _Counts()
    provider: str = ""
    notice: str = ""
    finished: str = ""
    prompt_sha256: dict[str, str] = {}
    ledger: tuple[_LedgerLine, ...] = ()


class _Generation(_Pass):
    inputs_sha256: dict[str, str] = {}


class _Planted(_Section):
    total: Count = 0


class _Judging(_Pass):
    planted: _Planted = _Planted()


class _Benchmark(_Section):
    rows: Count = 0
    sequences: Count = 0


class _Gating(_Section):
    not_checked: tuple[str, ...] = ()
    benchmark: _Benchmark = _Benchmark()


class _Filtering(_Section):
    threshold: Annotated[float, Field(ge=0, lt=1)] = 0.8
    of: dict[str, str] = {}
    cost_usd_a_kept_sample: float | None = None


class _People(_Section):
    review_csv: str = ""


class _Dataset(_Section):
    counts: dict[str, int] = {}


class _TopUp(_Section):
    repaired: Count = 0
    added: Count = 0
    why: str = ""
    prompt_sha256: dict[str, str] = {}


class _Manifest(_Section):
    generation: _Generation | None = None
    judging: _Judging | None = None
    gating: _Gating | None = None
    filtering: _Filtering | None = None
    people: _People | None = None
    dataset: _Dataset | None = None
    top_up: _TopUp | None = None


# ── reading and writing ──────────────────────────────────────────────────────────────────────────────────────────────


def read_manifest(run: Run) -> dict[str, Any]:
    """Return the sections that were written, each with all keys that the kit reads. Raises RunError when the file is damaged."""
    sections = as_record(_stored(run), _Manifest, where=str(run.manifest), remedy=REMEDY).model_dump(mode="json")
    return {name: section for name, section in sections.items() if section is not None}


def section_of(run: Run, name: str, *, made_by: str) -> dict[str, Any]:
    """Return one section of the manifest. Raises RunError naming the notebook that has yet to be run."""
    sections = read_manifest(run)
    if name not in sections:
        raise RunError(f"{run.manifest}: it says nothing of the {name} yet. Run {made_by} with the same RUN first.")
    section: dict[str, Any] = sections[name]
    return section


def require_sound_records(run: Run) -> None:
    """Raise RunError when what a pass adds to, manifest and failures, can't be read: before anything is paid, not after."""
    read_manifest(run)
    recorded_failures(run)


def update_manifest(run: Run, section: str, values: dict[str, Any]) -> None:
    """Put `values` under `section`."""
    with held(run):
        manifest = _stored(run)
        manifest["versions"] = {"python": platform.python_version(), **{name: version(name) for name in RECORDED_VERSIONS}}
        manifest[section] = values
        if section in ("generation", "judging"):  # labels are of the replies that were judged before
            manifest.pop("people", None)
        write_json(run.manifest, manifest)


def forget_top_up(run: Run) -> None:
    """Remove what topping up added, because it belongs to samples that are made anew. The journal still has every reply."""
    with held(run):
        for extra in (run.repaired, run.topped_up):
            remove(extra)
        forget_section(run, "top_up")


def forget_section(run: Run, section: str) -> None:
    """Remove one section, where it is there."""
    with held(run):
        manifest = _stored(run)
        if section in manifest:
            del manifest[section]
            write_json(run.manifest, manifest)


def write_parameters(run: Run) -> None:
    """Write `params.yaml`, which papermill takes with -f: all settings but the run's own name and place."""
    settings = recorded_settings(run)
    with held(run), whole_file(run.parameters) as file:
        file.write(
            "# python -m papermill -k python3 --log-level ERROR -f params.yaml -r run <a new name> notebooks/01_generate.ipynb out.ipynb\n"
        )
        for name, value in settings.model_dump(mode="json", exclude={"run", "outputs_dir"}).items():
            file.write(f"{name}: {json.dumps(value, ensure_ascii=False)}  # {Settings.model_fields[name].description}\n")


# ── the settings that a run was made with ────────────────────────────────────────────────────────────────────────────


def as_planned(settings: Settings) -> Settings:
    """Return `settings` with the plan, the writer and the seeds that the run's samples were made with, as the manifest has them."""
    recorded = read_manifest(run_of(settings)).get("generation", {}).get("settings", {})
    return settings.model_copy(update=_accepted(recorded).model_dump(include=set(PLAN_SETTINGS)) if recorded else {})


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
    labels, recorded = settings.review_csv, manifest.get("people", {}).get("review_csv", "")
    if "review_csv" not in settings.model_fields_set and recorded and is_file(from_root(recorded)):
        labels = recorded
    return settings.model_copy(update={"critical_pass_threshold": threshold, "review_csv": labels})


def filtered_from(run: Run) -> dict[str, str]:
    """Return the digests of the files that decide what is kept. Raises RunError when one can't be read."""
    paths: tuple[Path, ...] = (run.generated, run.repaired, run.topped_up, run.gated, run.evaluations)
    return {path.name: sha256_of(path) for path in paths if os.path.lexists(path)}


def recorded_settings(run: Run) -> Settings:
    """Return the settings that the run was made, and if it was, judged with. Raises RunError when it has not been made."""
    manifest = read_manifest(run)
    made = manifest.get("generation", {}).get("settings", {})
    if not made:
        raise RunError(f"{run.dir} has no finished run: its manifest.json does not say how it was made.")
    last = manifest.get("judging", {}).get("settings", {}) or made
    return _accepted(last | {name: made[name] for name in PLAN_SETTINGS if name in made})


def _accepted(recorded: dict[str, Any]) -> Settings:
    """Return settings from those that an earlier version may have recorded: names and values that are gone since are left out.

    Raises SettingsError when one that the plan rests on is refused.
    """
    known = {name: value for name, value in recorded.items() if name in Settings.model_fields}
    kept = {name: value for name, value in known.items() if name in PLAN_SETTINGS or Settings.accepts(name, value)}
    return Settings.of(**kept)


def _stored(run: Run) -> dict[str, Any]:
    return read_object(run.manifest, remedy=REMEDY) if os.path.lexists(run.manifest) else {}
