"""A run, with the settings that were asked for now and those that its files were made and filtered with."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lib.errors import counted
from lib.run.files import RunError, is_file, sha256_of, whole_file
from lib.run.folder import Folder
from lib.run.lock import held
from lib.run.manifest import Manifest, read_manifest
from lib.run.runs import last_run
from lib.settings import Settings, from_root, notebook_values, short_path

DECIDES_SAMPLES = Settings.names_of("input", "plan", "writing")
THRESHOLD = "critical_pass_threshold"
RULES_BEFORE = {"min_quality_score": 1, "drop_factual_errors": False, "ban_is_veto": False}  # of versions that had the threshold only
BEFORE = RULES_BEFORE | {  # what versions did that did not record these settings
    "verify_scenarios": False, "second_vote": False, "subtle_share": 0.0, "harmless_share": 0.0,
}  # fmt: skip
ONCE = frozenset(Settings.names_of("once"))
NOT_OF_A_RUN = ONCE | frozenset(Settings.names_of("place"))  # a run has these settings from whoever opens it
AFTER_MAKING = Settings.names_of("endpoint", "engine", "judging")  # as notebook 01 was last run with them, when that was later


class Run(Folder):
    """One run. `settings` are those that were asked for now; the files may have been made with others."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.run_dir)
        self.settings = settings

    def __str__(self) -> str:
        made, where = read_manifest(self).generation, short_path(self.dir)
        shown = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in self.settings.changed().items()}
        changed = ", ".join(f"{name} = {value}" for name, value in shown.items())
        about = f"{counted(made.counts.get('done', 0), 'sample')} made on {made.finished[:10]}" if made.finished else "nothing made yet"
        return f"{where}: {about}; settings: {changed or 'all at their defaults'}"

    @property
    def source(self) -> "Run | None":
        """The run that `scenarios_from` names, by its name or by its folder, if any."""
        name = Path(self.settings.scenarios_from).name
        return Run(Settings.of(run=name, outputs_dir=self.settings.outputs_dir)) if name else None

    @property
    def made_with(self) -> Settings:
        """Return the settings that the samples were made with and, once there are verdicts, judged with.

        Raises RunError when nothing has been made.
        """
        return recorded_settings(self)

    @property
    def as_made(self) -> "Run":
        """Return this run with the input, plan and writer of its samples. Before there are any, the run as it is."""
        recorded = read_manifest(self).generation.settings
        if not recorded:
            return self
        return Run(self.settings.model_copy(update=_accepted(recorded).model_dump(include=set(DECIDES_SAMPLES))))

    @property
    def as_recorded(self) -> "Run":
        """Return this run with the settings it was made, judged and filtered with, and the sheet of labels that was last read.

        A setting that somebody asked for stays.
        """
        manifest, asked = read_manifest(self), self.settings.model_fields_set
        found = recorded_settings(self).model_dump(exclude=set(NOT_OF_A_RUN)) if manifest.generation.settings else {}
        made = manifest.generation
        if made.finished > manifest.judging.finished:
            found |= {name: made.settings[name] for name in AFTER_MAKING if Settings.accepts(name, made.settings.get(name))}
        found |= _rules(manifest) if manifest.has("filtering") else {}
        if (sheet := manifest.people.review_csv) and is_file(from_root(sheet)):
            found["review_csv"] = sheet
        return Run(self.settings.model_copy(update={name: value for name, value in found.items() if name not in asked}))

    @property
    def as_filtered(self) -> "Run":
        """Return the run `as_recorded`. Raises RunError as `require_filtered` does."""
        run = self.as_recorded
        run.require_filtered()
        return run

    def require_filtered(self) -> None:
        """Raise RunError when the files do not belong to a finished filtering with this run's rules.

        That is so when there was no filtering, or one with other rules, or when samples were made, repaired or judged since.
        """
        manifest = read_manifest(self)
        if not manifest.has("filtering"):
            raise RunError(f"{self.dir} has not been filtered yet: run 02_filter with the same RUN first.")
        for name, was in _rules(manifest).items():
            if (asked := getattr(self.settings, name)) != was:
                raise RunError(
                    f"{self.dir} was filtered with {name} = {was}, not {asked}: run 02_filter again (make filter) to change that."
                )
        if manifest.filtering.of != filtered_from(self):
            raise RunError(f"{self.dir} has changed since it was filtered: run 02_filter again (make filter) first.")


def open_run(namespace: Mapping[str, Any], *, after: Literal["", "01_generate", "02_filter"] = "") -> Run:
    """Return the run that a notebook's parameters cells describe. `namespace` is the notebook's `globals()`.

    `after` names the notebook that must have been run before. The run then has the settings it was made with, changed by those of the
    cells, and it is the last run made when the cells name none. A cell `run = open_run(globals())` can be run again, although `run` is
    then no longer the name of a run. Raises SettingsError, and RunError when that notebook has not been run.
    """
    named = namespace.get("run")
    values = notebook_values({**namespace, "run": named.settings.run} if isinstance(named, Run) else namespace)
    if not after:
        return Run(Settings.of(**values))
    values = {name: value for name, value in values.items() if value or name not in ("run", "review_csv")}
    if "run" not in values:
        values["run"] = last_run(values.get("outputs_dir", ""))
    run = Run(Settings.of(**values))
    if not read_manifest(run).generation.settings:
        raise RunError(f"{run.dir} has no finished run: run 01_generate with the same RUN first.")
    return run.as_filtered if after == "02_filter" else run.as_recorded


def recorded_settings(folder: Folder) -> Settings:
    """Return the settings in the manifest of a run, without what was done or allowed once.

    Raises RunError when nothing has been made there.
    """
    manifest = read_manifest(folder)
    made = manifest.generation.settings
    if not made:
        raise RunError(f"{folder.dir} has no finished run: its manifest.json does not say how it was made.")
    decides = BEFORE | made
    found = (manifest.judging.settings or made) | {name: decides[name] for name in DECIDES_SAMPLES if name in decides}
    return _accepted({name: value for name, value in found.items() if name not in ONCE})


def filtered_with(run: Run) -> dict[str, Any]:
    """Return what the manifest holds of a filtering, which is its rules and the digests of the files that it was made from."""
    rules = {name: getattr(run.settings, name) for name in RULES_BEFORE}
    return {"threshold": run.settings.critical_pass_threshold, "rules": rules, "of": filtered_from(run)}


def _rules(manifest: Manifest) -> dict[str, Any]:
    """Return the settings that decided what the run keeps."""
    return RULES_BEFORE | {THRESHOLD: manifest.filtering.threshold} | manifest.filtering.rules


def filtered_from(folder: Folder) -> dict[str, str]:
    """Return the digests of the files that decide what is kept. Raises RunError when one can't be read."""
    paths = (folder.generated, folder.repaired, folder.topped_up, folder.gated, folder.evaluations)
    return {path.name: sha256_of(path) for path in paths if os.path.lexists(path)}


def write_parameters(folder: Folder) -> None:
    """Write `params.yaml`, which papermill takes with -f. It holds all settings but the run's own name and place."""
    settings = recorded_settings(folder)
    with held(folder), whole_file(folder.parameters) as file:
        file.write(
            "# python -m papermill -k python3 --log-level ERROR -f params.yaml -r run <a new name> notebooks/01_generate.ipynb out.ipynb\n"
        )
        for name, value in settings.model_dump(mode="json", exclude={"run", "outputs_dir"}).items():
            file.write(f"{name}: {json.dumps(value, ensure_ascii=False)}  # {Settings.model_fields[name].description}\n")


def _accepted(recorded: dict[str, Any]) -> Settings:
    """Return settings from those that an earlier version may have recorded. Names and values that are gone since are left out.

    Raises SettingsError when a setting is refused that decides the samples.
    """
    known = BEFORE | {name: value for name, value in recorded.items() if name in Settings.model_fields}
    return Settings.of(**{name: value for name, value in known.items() if name in DECIDES_SAMPLES or Settings.accepts(name, value)})
