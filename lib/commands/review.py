"""Settings -> the blind sheet of a run, for people to fill in."""

from lib.analyze.people import read_sheet, write_sheet
from lib.run.run import Run
from lib.run.runs import with_run
from lib.settings import settings_of, short_path


def main(words: list[str]) -> int:
    """Write the sheet and say what to do with it."""
    settings = settings_of(with_run(words))
    path = write_sheet(Run(settings).as_filtered)
    rows = read_sheet(path)
    print(f"{short_path(path)}: {len({row.sample_id for row in rows})} samples, {len(rows)} criteria. Write yes or no into the column met,")
    print(f"save it under another name as CSV in UTF-8, then: make analyze RUN={settings.run} REVIEW_CSV=<that file>")
    return 0
