"""Runs notebooks through papermill with parameters, and leaves their executed copies in the run's folder.

    python -m lib.headless 01_generate 02_filter run=quick num_seeds=2

A copy that failed is `01_generate.failed.ipynb`, so that nobody takes it for done; the user's mistake is printed as one line.
"""

import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from lib.errors import KitError
from lib.files import make_folder
from lib.run import notebooks_held, run_of
from lib.settings import PROJECT_ROOT, settings_of, short_path


def run_notebook(name: str, pairs: list[str]) -> Path:
    """Execute `notebooks/<name>.ipynb` and return the executed copy. Raises KitError with the notebook's own error."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.ERROR)  # it warns of settings that a notebook's own cell does not list
    settings = settings_of(pairs)
    source = PROJECT_ROOT / "notebooks" / f"{name}.ipynb"
    wanted = settings.model_dump(mode="json", include=settings.model_fields_set)
    done = settings.run_dir / "notebooks" / f"{name}.ipynb"
    failed = done.with_suffix(".failed.ipynb")
    make_folder(done.parent)
    os.environ["TUTORING_HEADLESS"] = "1"
    try:
        papermill.execute_notebook(
            source, str(failed).replace("{", "{{").replace("}", "}}"),  # papermill formats it
            parameters=wanted, kernel_name="python3", progress_bar=False, cwd=PROJECT_ROOT,
            stdout_file=sys.stdout, stderr_file=sys.stderr, coalesce_streams=True,
            extra_arguments=["--log-level=CRITICAL"],
        )  # fmt: skip
    except PapermillExecutionError as error:
        raise KitError(f"{error.ename}: {error.evalue}\n(executed so far: {short_path(failed)})") from None
    except DeadKernelError:
        raise KitError("The kernel died. What was paid for is in the journal: run the same command again to go on.") from None
    failed.replace(done)
    return done


def run_notebooks(names: Iterable[str], pairs: list[str]) -> int:
    """Run the notebooks in order. Return 0, or 1 (130 when interrupted) after printing what went wrong."""
    for name in names:
        print(f"── {name} ──", flush=True)
        try:
            with notebooks_held(run_of(settings_of(pairs))):  # a second `make` must not write over the first one's copies
                run_notebook(name, pairs)
        except KitError as error:
            print(f"\n{name}: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(f"\n{name}: interrupted; run again to continue.", file=sys.stderr)
            return 130
    return 0


def main(arguments: list[str]) -> int:
    """Run the notebooks named first, with the `name=value` words that follow."""
    return run_notebooks((word for word in arguments if "=" not in word), [word for word in arguments if "=" in word])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
