"""Judged samples -> a blind sheet that people fill in, and what they wrote in it.

The sheet shows neither verdicts nor severities, and its order shows nothing of how its samples were drawn. No cell of it can act as a
formula in a spreadsheet.
"""

import csv
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lib.analyze.tables import TOPPED_UP
from lib.analyze.to_review import Draw, drawn
from lib.errors import KitError, plain
from lib.filter.keep import judged_samples
from lib.generate.tabular import Row, read_table
from lib.generate.text_file import TextFile, read_bytes
from lib.run.files import whole_file
from lib.run.lock import holding
from lib.run.run import Run
from lib.schema import Rubric, Sample
from lib.settings import from_root

COLUMNS = ("sample", "response_id", "question", "explanation", "follow_up", "response", "rubric", "criterion", "met", "note")
USED = ("sample", "response_id", "rubric", "met")
ANSWERS = {**dict.fromkeys(("yes", "y", "true", "1", "x"), True), **dict.fromkeys(("no", "n", "false", "0"), False)}
FORMULA_STARTS = "=+-@\t\r\n＝＋－＠"  # spreadsheets read the full-width ones as the others
Criterion = tuple[str, str, str]  # ids of the sample, of its response and of the criterion
Written = tuple[str, str]  # "yes", "no" or "", and a note
INVISIBLE = " \u00a0\u200b\u200c\u200d\u2060\ufeff"


class ReviewError(KitError):
    """The sheet can't be read, or would be overwritten."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a person wrote in one row."""

    row: int  # as a spreadsheet counts
    sample_id: str
    response_id: str
    rubric_id: str
    met: bool | None  # None where they wrote nothing
    note: str = ""

    @property
    def criterion(self) -> Criterion:
        return self.sample_id, self.response_id, self.rubric_id

    @property
    def written(self) -> Written:
        return {True: "yes", False: "no", None: ""}[self.met], self.note


@holding
def write_sheet(run: Run) -> Path:
    """Write `review.csv` and return its path. Raises ReviewError instead of overwriting what people have filled in."""
    before, seed = answers_so_far(run), run.settings.random_seed
    rows = [row for sample in to_review(run).samples for row in _rows(sample, seed, before=before)]
    kept = {(row[0], row[1], row[6]): (row[8], row[9]) for row in rows}
    there = _written(run.review) if run.review.exists() else {}
    if any(kept.get(criterion) != written for criterion, written in there.items()):
        raise ReviewError(
            f"{run.review} has been filled in, and not all of it would stand in the new sheet: give it another name (and name it in "
            "REVIEW_CSV), then run make review again."
        )
    with whole_file(run.review) as file:
        file.write("\ufeff")  # spreadsheets read UTF-8 only with it
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows(map(safe_cell, row) for row in rows)
    return run.review


def to_review(run: Run) -> Draw:
    """Return the samples of the first pass that people are to judge. Raises ReviewError when none has been judged."""
    judged = [one for one in judged_samples(run) if one.evaluation and one.sample.metadata.origin not in TOPPED_UP]
    if not judged:
        raise ReviewError(f"{run.dir}: no sample has been judged yet. Run 02_filter first.")
    return drawn(judged, run.settings.review_samples, random_seed=run.settings.random_seed)


def safe_cell(text: str) -> str:
    """Return `text` with an apostrophe before it where a spreadsheet might read a formula. Source: OWASP, CSV injection."""
    return f"'{text}" if text.lstrip(INVISIBLE)[:1] in tuple(FORMULA_STARTS) else text


def reviewed_criteria(sample: Sample, random_seed: int) -> list[Rubric]:
    """Return the critical criteria of a sample in an order of their own, which shows nothing of their severity."""
    critical = [rubric for rubric in sample.metadata.rubrics if rubric.critical]
    return sorted(critical, key=lambda rubric: hashlib.sha256(f"{random_seed}/{sample.id}/{rubric.id}".encode()).digest())


def answers_so_far(run: Run) -> dict[Criterion, Written]:
    """Return what people wrote on the sheet that `review_csv` names, so that a larger sheet asks only for the others."""
    return _written(from_root(run.settings.review_csv)) if run.settings.review_csv else {}


def _written(path: Path) -> dict[Criterion, Written]:
    return {label.criterion: label.written for label in read_sheet(path) if any(label.written)}


def _rows(sample: Sample, random_seed: int, *, before: Mapping[Criterion, Written]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each critical criterion, in an order of its own. The texts stand in the first row."""
    about = sample.metadata
    texts: tuple[str, ...] = (about.question, about.explanation, about.follow_up, sample.response)
    for rubric in reviewed_criteria(sample, random_seed):
        written = before.get((sample.id, sample.response_id, rubric.id), ("", ""))
        yield sample.id, sample.response_id, *texts, rubric.id, rubric.criteria, *written
        texts = ("", "", "", "")


def read_sheet(path: Path) -> list[Label]:
    """Return the labels of a sheet, one for each sample and criterion.

    Raises ReviewError naming the row, or both rows when they contradict one another.
    """
    file = TextFile(path, "review_csv", ReviewError)
    labels: dict[Criterion, Label] = {}
    for row in read_table(file, read_bytes(file), required=USED, optional=("note",)).rows:
        if row.flaw:
            raise file.refusal(row.flaw.detail, at=f"row {row.sheet_row}", advice="Mend the row.")
        if not any(row.cells.values()):
            continue
        label = _label(file, row)
        first = labels.get(label.criterion, label)
        if first.met is not None and label.met not in (first.met, None):
            problem = f"{label.sample_id}, {label.rubric_id} is answered twice, with yes and with no"
            raise file.refusal(plain(problem), at=f"rows {first.row} and {label.row}", advice="Keep one of the two answers.")
        labels[label.criterion] = label if first.met is None else first
    return list(labels.values())


def _label(file: TextFile, row: Row) -> Label:
    sample_id, response, rubric_id, met = (row.cells[name].strip() for name in USED)
    if met and met.casefold() not in ANSWERS:
        problem = f"met is '{plain(met, longest=40)}'"
        raise file.refusal(problem, at=f"row {row.sheet_row}", advice="Write yes or no, or leave it empty.")
    note = row.cells["note"].removeprefix("'") if row.cells["note"][1:] else row.cells["note"]  # see `safe_cell`
    return Label(row.sheet_row, sample_id, response, rubric_id, ANSWERS.get(met.casefold()), note)
