"""The runs in a folder of runs, the last one made first."""

from collections.abc import Iterable
from pathlib import Path

from lib.run.files import RunError
from lib.run.folder import Folder
from lib.run.manifest import Manifest, read_manifest
from lib.settings import Settings, from_root, short_path


def runs_in(folder: Path) -> list[tuple[Folder, Manifest]]:
    """Return the runs that were made, the last one first. A run whose manifest is damaged is left out."""
    found = []
    for path in folder.glob("*/manifest.json"):
        try:
            run = Folder(path.parent)
            manifest = read_manifest(run)
        except RunError:
            continue
        if manifest.generation.settings:
            found.append((run, manifest))
    return sorted(found, key=lambda pair: (pair[1].generation.finished, pair[0].dir.name), reverse=True)


def last_run(outputs_dir: str) -> str:
    """Return the name of the last run made. `outputs_dir` is the folder of runs, or "" for the usual one.

    A folder that bears another name than the run in it is a copy, and does not count. Raises RunError when there is no run.
    """
    folder = from_root(outputs_dir or Settings().outputs_dir)
    names = [run.dir.name for run, manifest in runs_in(folder) if manifest.generation.settings.get("run") == run.dir.name]
    if not names:
        raise RunError(f"There is no run in {short_path(folder)} yet. To make one: make run, or run 01_generate.")
    return names[0]


def known_runs(folder: Path) -> str:
    """Return a sentence that lists the runs in a folder of runs."""
    return f"Runs in {short_path(folder)}: {', '.join(sorted(path.parent.name for path in folder.glob('*/manifest.json'))) or 'none'}."


def with_run(pairs: Iterable[str]) -> list[str]:
    """Return the `name=value` words, and the name of the last run made where they name none. Raises RunError when there is none."""
    words = list(pairs)
    values = {name.lower(): value for name, _, value in (word.partition("=") for word in words)}
    if values.get("run"):
        return words
    others = [word for word in words if not word.lower().startswith("run=")]
    return [*others, f"run={last_run(values.get('outputs_dir', ''))}"]
