"""Settings -> the blind sheet of a run for people to fill in, as a form for the browser and as CSV for spreadsheets."""

from lib.analyze.sheet import answers_so_far, read_sheet, to_review, write_sheet
from lib.analyze.strata import FEWEST_LABELS
from lib.commands.notebooks import require_run
from lib.errors import counted
from lib.publish.page import write_review_form
from lib.run.run import Run
from lib.run.runs import with_run
from lib.settings import settings_of, short_path


def main(words: list[str]) -> int:
    """Write both and say what to do with them."""
    settings = settings_of(with_run(words))
    require_run(Run(settings))
    run = Run(settings).as_filtered
    draw, path, form = to_review(run), write_sheet(run), write_review_form(run)
    rows = read_sheet(path)
    samples, criteria = counted(len({row.sample_id for row in rows}), "sample"), counted(len(rows), "criterion", plural="criteria")
    print(f"{samples} with {criteria} are to be read, in either of two ways:")
    print(f"  {short_path(form)}: open it in a browser, answer with the keys y and n, and save the sheet at the end.")
    print(f"  {short_path(path)}: write yes or no into the column met of a spreadsheet, and save it under another name as CSV in UTF-8.")
    answered, before = sum(row.met is not None for row in rows), sum(bool(met) for met, _ in answers_so_far(run).values())
    if before:
        left_out = f"; {before - answered} are of samples that are not drawn now" if before > answered else ""
        print(f"{answered} of the {before} answers in {settings.review_csv} stand in it already{left_out}.")
    if draw.expected:
        print(f"All answers together tell the share of good samples to within about {100 * draw.expected:.0f} percentage points.")
    else:
        print(f"Fewer than {FEWEST_LABELS} samples are too few to estimate the share of good ones.")
    print(f"Then: make analyze RUN={settings.run} REVIEW_CSV=<the saved sheet>")
    return 0
