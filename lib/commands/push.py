"""A run's data set -> the Hugging Face Hub, after its card and every validator pass. Without a repository, what would go is printed.

python -m lib.commands push run=quick [--repo name]
"""

import argparse
from pathlib import Path

from lib.commands.notebooks import require_run
from lib.errors import KitError, counted
from lib.run.folder import SIDES
from lib.run.run import Run
from lib.run.runs import with_run
from lib.settings import settings_of, short_path
from lib.validate import require_valid, validate_file
from lib.validate.forms import validate_form

PAIRS = ("preferences.jsonl", "preferences_validation.jsonl")


class PushError(KitError):
    """The data set is not ready to be published, or the Hub did not take it."""


def main(words: list[str]) -> int:
    """Check the data set, and upload it as a private one where a repository is named."""
    parser = argparse.ArgumentParser(prog="python -m lib.commands push", description="Publish the data set of a run.", allow_abbrev=False)
    parser.add_argument("--repo", default="", help="<you>/<name> on the Hugging Face Hub; without it nothing is sent")
    options, words = parser.parse_known_args(words)
    repo, settings = options.repo, settings_of(with_run(words))
    require_run(Run(settings))
    run = Run(settings).as_filtered
    if not (run.dataset / "README.md").exists():
        raise PushError(f"{short_path(run.dataset)} has no card yet: run make validate RUN={settings.run} first.")
    if "Fill in its licence" in (run.dataset / "README.md").read_text("utf-8"):
        raise PushError(f"{short_path(run.dataset)}/README.md: fill in the licence of your seeds first.")
    _require_valid(run.dataset)
    files = [path for path in run.dataset_files() if path.exists()]
    for path in files:
        print(f"{path.stat().st_size:>12,} bytes  {path.relative_to(run.dataset)}")
    if not repo:
        print(f"{counted(len(files), 'file')} would go. Nothing was sent. To send them: make push RUN={settings.run} REPO=<you>/<name>")
        return 0
    print(f"{counted(len(files), 'file')} are at {_uploaded(run, repo, files=files)}, which only you can see until you make it public.")
    return 0


def _require_valid(folder: Path) -> None:
    """Raise TrainingFileError or PushError where a file of the data set has errors."""
    for side in SIDES:
        if (path := folder / f"{side}.jsonl").exists():
            require_valid(validate_file(path, few_is="warning"))
    for name, form in (*((name, "preferences") for name in PAIRS), ("rubrics.jsonl", "rubrics")):
        if (folder / name).exists() and not (report := validate_form(folder / name, form)).valid:
            raise PushError(str(report))


def _uploaded(run: Run, repo: str, *, files: list[Path]) -> str:
    """Upload these files, and take away those of an earlier time. Return the address of the data set.

    Raises PushError with the Hub's own words, and for a data set that is public already, because everybody would see the files at once.
    """
    try:
        import httpx2
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError
    except ImportError:
        raise PushError("This needs the package huggingface_hub: .venv/bin/python -m pip install huggingface_hub.") from None
    hub = HfApi()
    try:
        hub.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
        if not hub.dataset_info(repo).private:
            raise PushError(
                f"{repo} is public, so everybody would see the files at once. Nothing was sent. Make it private in its settings on the Hub "
                "first, or name another REPO."
            )
        names, ours = ([path.relative_to(run.dataset).as_posix() for path in paths] for paths in (files, run.dataset_files()))
        hub.upload_folder(repo_id=repo, repo_type="dataset", folder_path=run.dataset, allow_patterns=names, delete_patterns=ours)
    except (HfHubHTTPError, LocalTokenNotFoundError, httpx2.HTTPError, OSError, ValueError) as problem:
        raise PushError(
            f"The Hub did not take it ({' '.join(str(problem).split())[:300]}). Log in with `hf auth login`, and check REPO."
        ) from None
    return f"https://huggingface.co/datasets/{repo}"
