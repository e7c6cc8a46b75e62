"""A finished run -> near misses repaired and cells refilled, with the settings that the run was made and judged with."""

from lib.commands.notebooks import require_run, run_notebooks
from lib.commands.summary import summary
from lib.errors import KitError
from lib.run.run import Run
from lib.run.runs import known_runs
from lib.settings import from_root, settings_of

NOTEBOOKS = ("02_filter", "03_analyze", "04_validate")


def main(words: list[str]) -> int:
    """Top up the run that the `name=value` words name. Words for other settings change those of the run.

    Raises KitError when they name none, because topping up costs money.
    """
    named = settings_of(words)
    if "run" not in named.model_fields_set:
        raise KitError(f"Topping up costs money, so say which run: make topup RUN=<name>. {known_runs(from_root(named.outputs_dir))}")
    run = Run(named)
    require_run(run)
    if code := run_notebooks(NOTEBOOKS, [*words, "top_up=true"]):
        return code
    print(summary(run))
    return 0
