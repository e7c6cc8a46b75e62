"""JupyterLab in the project's folder, with notebook 01 open.

A filter of git leaves the outputs out of the notebooks that `.gitattributes` names. So a notebook that was only run is not a changed file.
"""

import os
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from lib.errors import KitError
from lib.settings import PROJECT_ROOT

OPTIONS = (
    "--LabApp.default_url=/lab/tree/notebooks/01_generate.ipynb",
    "--FileContentsManager.post_save_hook=lib.commands.lab.after_saving",
)
LANGUAGE_INFO = ("codemirror_mode", "file_extension", "mimetype", "nbconvert_exporter", "pygments_lexer", "version")
ADDED = " ".join(  # what running and saving a notebook adds to it besides outputs
    [
        "metadata.papermill",
        "cell.metadata.papermill",
        "cell.metadata.execution",
        *(f"metadata.language_info.{key}" for key in LANGUAGE_INFO),
    ]
)


def main(words: list[str]) -> int:
    """Open JupyterLab with the options in the first word. This process becomes JupyterLab."""
    try:
        options = shlex.split(" ".join(words))
    except ValueError as error:
        raise KitError(
            f"OPTIONS can't be read ({error}): write them as on a command line, e.g. OPTIONS='--no-browser --port=8889'."
        ) from None
    keep_outputs_out_of_git()
    ours = str(Path(sys.prefix) / "share" / "jupyter")  # its kernel comes before those of other environments
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, (ours, os.environ.get("JUPYTER_PATH"))))
    os.chdir(PROJECT_ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "jupyter", "lab", *OPTIONS, *options])


def keep_outputs_out_of_git() -> None:
    """Set the filter `notebooks` in this checkout's own git configuration. Nothing happens outside of a checkout."""
    clean = f"{shlex.quote(sys.executable)} -m nbstripout --keep-id --extra-keys {shlex.quote(ADDED)}"
    for name, value in (("clean", clean), ("smudge", "cat")):
        _git("config", "--local", f"filter.notebooks.{name}", value)


def after_saving(*, os_path: str, **_: object) -> None:
    """Let git note the new size of a notebook whose content it has already. Otherwise `git status` would list it as modified.

    JupyterLab calls this after it has saved a file.
    """
    if os_path.endswith(".ipynb") and _git("diff", "--quiet", "--", os_path):
        _git("add", "--", os_path)


def _git(*words: str) -> bool:
    """Return whether git did it. It does not where it is not installed, or where this folder is no checkout."""
    with suppress(OSError):
        return not subprocess.run(["git", *words], cwd=PROJECT_ROOT, check=False, capture_output=True).returncode
    return False
