"""A finished run -> near misses repaired and cells refilled, with the settings that the run was made and judged with."""

from lib.commands.notebooks import require_run, run_notebooks
from lib.commands.summary import summary
from lib.run.run import Run
from lib.settings import Settings, setting_pairs, settings_of

NOTEBOOKS = ("02_filter", "03_analyze", "04_validate")


def main(words: list[str]) -> int:
    """Top up the run that the `name=value` words name. Words for other settings change those of the run."""
    named = settings_of(words)
    run = Run(named)
    require_run(run)
    changes = named.model_dump(mode="json", include=named.model_fields_set)
    settings = Settings.of(**run.made_with.model_dump(mode="json") | changes | {"top_up": True})
    if code := run_notebooks(NOTEBOOKS, setting_pairs(settings)):
        return code
    print(summary(Run(settings)))
    return 0
