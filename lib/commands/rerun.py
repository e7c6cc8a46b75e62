"""An earlier run's folder -> the same run again under another name, with a word on what has changed since.

python -m lib.commands rerun outputs/<run> [run=<name> and any other setting]
"""

from pathlib import Path

from lib.commands.notebooks import run_notebooks
from lib.commands.summary import summary
from lib.prompts.rendering import STAGES, template_sha256
from lib.run.files import RunError, is_file, sha256_of
from lib.run.folder import Folder
from lib.run.manifest import read_manifest
from lib.run.run import Run, recorded_settings
from lib.run.runs import known_runs
from lib.settings import Settings, check_names, from_root, setting_pairs, short_path

NOTEBOOKS = ("01_generate", "02_filter", "03_analyze", "04_validate")


def again(folder: Path, pairs: list[str]) -> Settings:
    """Return the settings of `folder`'s run under a name of its own, with the changes in `pairs`. Raises RunError, SettingsError."""
    recorded = recorded_settings(Folder(folder))
    changes = {name.lower(): value for name, _, value in (pair.partition("=") for pair in pairs)}
    check_names(changes)
    return Settings.of(
        **recorded.model_dump(mode="json", exclude={"review_csv", "compare_with"}) | {"run": f"{folder.name}_again"} | changes
    )


def changed_since(folder: Path, settings: Settings) -> list[str]:
    """Return what is no longer as it was when the run was made: seeds, topics, prompts."""
    manifest = read_manifest(Folder(folder))
    now = {name: sha256_of(from_root(path)) for name, path in _inputs(settings).items()}
    recorded = manifest.generation.inputs_sha256
    found = [f"the {name} file has changed since" for name, digest in now.items() if recorded.get(name) != digest]
    recorded = manifest.generation.prompt_sha256 | manifest.judging.prompt_sha256 | manifest.top_up.prompt_sha256
    edited = [stage for stage in STAGES if stage in recorded and recorded[stage] != template_sha256(stage)]
    return found + [f"the prompt of {stage} has changed since" for stage in edited]


def _inputs(settings: Settings) -> dict[str, str]:
    paths = {"seeds": settings.seeds_csv, "topics": settings.topics_csv}
    return {name: path for name, path in paths.items() if is_file(from_root(path))}


def _folder_of(named: str) -> Path:
    """Return the folder of the run that is named, by its path or by its name alone. Raises RunError."""
    runs = from_root(Settings().outputs_dir)
    for path in (from_root(named), runs / named):
        if is_file(Folder(path).manifest):
            return path
    raise RunError(f"There is no finished run in {short_path(from_root(named))}. {known_runs(runs)}")


def main(words: list[str]) -> int:
    """Run the notebooks again with the settings of the run that the first word names, changed by the words that follow."""
    folder, *pairs = words or [""]
    path = _folder_of(folder)
    settings = again(path, pairs)
    print(f"{short_path(path)} again, as {short_path(settings.run_dir)}", *changed_since(path, settings), sep="\n  ", flush=True)
    if code := run_notebooks(NOTEBOOKS, setting_pairs(settings)):
        return code
    print(summary(Run(settings)))
    return 0
