"""A finished run -> near misses repaired and cells refilled, with the settings that the run was made and judged with."""

from lib.commands.notebooks import require_run, run_notebooks
from lib.commands.summary import summary
from lib.run.run import Run
from lib.run.runs import with_run
from lib.settings import settings_of

NOTEBOOKS = ("02_filter", "03_analyze", "04_validate")


def main(words: list[str]) -> int:
    """Top up the run that the `name=value` words name, or else the last one made. Words for other settings change those of the run."""
    pairs = with_run(words)
    run = Run(settings_of(pairs))
    require_run(run)
    if code := run_notebooks(NOTEBOOKS, [*pairs, "top_up=true"]):
        return code
    print(summary(run))
    return 0
