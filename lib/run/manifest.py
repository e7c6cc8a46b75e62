"""A run's manifest: everything in which two equal runs differ, such as cost, times and versions, and the settings of the run."""

import os
import platform
from importlib.metadata import version
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from lib.run.files import RunError, as_record, read_object, write_json
from lib.run.folder import Folder
from lib.run.lock import held

RECORDED_VERSIONS = ("anthropic", "pydantic", "papermill", "pandas", "matplotlib")
REMEDY = "Delete the file and run 01_generate and 02_filter again (make run): every paid reply is in the journal, nothing is paid twice."
Count = Annotated[int, Field(ge=0)]
Dollars = Annotated[float, Field(ge=0)]


class LedgerLine(BaseModel):
    """What one stage cost with one model."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    stage: str = ""
    model: str = ""
    calls: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cache_read_tokens: Count = 0
    cache_write_tokens: Count = 0
    cost_usd: Dollars = 0.0


class Section(BaseModel):
    """One section, with all that the kit reads of any. What a section or an earlier version does not hold has a default."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    settings: dict[str, Any] = {}
    counts: dict[str, Count] = {}  # generation and judging: total, done, failed; dataset: examples a side
    provider: str = ""
    notice: str = ""
    finished: str = ""
    prompt_sha256: dict[str, str] = {}
    inputs_sha256: dict[str, str] = {}  # of the seed and the topic file
    ledger: tuple[LedgerLine, ...] = ()
    planted: dict[str, Count] = {}  # total, judged, failed
    not_checked: tuple[str, ...] = ()  # gates that could compare nothing
    benchmark: dict[str, Count] = {}  # rows, sequences
    threshold: Annotated[float, Field(ge=0, lt=1)] = 0.8
    rules: dict[str, Any] = {}  # further settings that decided what is kept; earlier versions had none
    of: dict[str, str] = {}  # the digests of the files that the run was filtered from
    kept: Count | None = None
    cost_usd_a_kept_sample: float | None = None
    review_csv: str = ""
    preferences: dict[str, dict[str, Count]] = {}  # side -> source -> pairs
    rubrics: Count = 0  # prompts with rubrics
    repaired: Count = 0
    added: Count = 0
    why: str = ""


class Manifest(BaseModel):
    """The sections, each named for the step that wrote it. One that is not written yet is empty."""

    model_config = ConfigDict(extra="allow")

    generation: Section = Section()
    judging: Section = Section()
    gating: Section = Section()
    filtering: Section = Section()
    people: Section = Section()
    dataset: Section = Section()
    top_up: Section = Section()

    def has(self, name: str) -> bool:
        return name in self.model_fields_set


def read_manifest(folder: Folder) -> Manifest:
    """Return the manifest, which is empty when there is no file. Raises RunError when the file is damaged."""
    return as_record(_stored(folder), Manifest, where=str(folder.manifest), remedy=REMEDY)


def section_of(folder: Folder, name: str, *, made_by: str) -> Section:
    """Return one section. Raises RunError with the name of the notebook that has yet to be run."""
    manifest = read_manifest(folder)
    if not manifest.has(name):
        raise RunError(f"{folder.manifest}: it says nothing of the {name} yet. Run {made_by} with the same RUN first.")
    section: Section = getattr(manifest, name)
    return section


def update_manifest(folder: Folder, section: str, *, values: dict[str, Any]) -> None:
    """Write `values` as the section of this name."""
    with held(folder):
        manifest = _stored(folder)
        manifest["versions"] = {"python": platform.python_version(), **{name: version(name) for name in RECORDED_VERSIONS}}
        manifest[section] = values
        if section in ("generation", "judging"):  # people's labels are of the replies that were there before
            manifest.pop("people", None)
        write_json(folder.manifest, manifest)


def forget_section(folder: Folder, section: str) -> None:
    """Remove one section, if it is there."""
    with held(folder):
        manifest = _stored(folder)
        if manifest.pop(section, None) is not None:
            write_json(folder.manifest, manifest)


def _stored(folder: Folder) -> dict[str, Any]:
    return read_object(folder.manifest, remedy=REMEDY) if os.path.lexists(folder.manifest) else {}
