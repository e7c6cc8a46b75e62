"""A filtered run -> the page on which people browse its samples."""

from lib.commands.notebooks import require_run
from lib.publish.page import write_page
from lib.run.run import Run
from lib.run.runs import with_run
from lib.settings import settings_of


def main(words: list[str]) -> int:
    """Write `report.html` of the run that the `name=value` words name, or else of the last one made."""
    run = Run(settings_of(with_run(words)))
    require_run(run)
    print(write_page(run.as_filtered))
    print("Open it in a browser. It is one file and needs no network, so it can be sent to a colleague.")
    return 0
