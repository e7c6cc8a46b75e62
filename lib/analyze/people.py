"""judged samples -> a blind sheet that people fill in; the sheet -> how far people and the judge agree.

The sheet shows neither verdicts nor severities. Its samples are drawn in proportion from kept and dropped and from all kinds of
misconception, so that what holds for them holds for the run. No cell of it can act as a formula in a spreadsheet.
"""

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lib.analyze.rates import Share, cohen_kappa
from lib.errors import KitError, plain
from lib.filter.keep import decisions
from lib.generate.tabular import Row, read_table
from lib.generate.text_file import TextFile, read_bytes
from lib.run.files import whole_file
from lib.run.folder import holding, run_of
from lib.schema import Evaluation, Sample
from lib.settings import Settings, from_root

COLUMNS = ("sample", "response_id", "question", "explanation", "follow_up", "response", "rubric", "criterion", "met", "note")
USED = ("sample", "response_id", "rubric", "met")
ANSWERS = {**dict.fromkeys(("yes", "y", "true", "1", "x"), True), **dict.fromkeys(("no", "n", "false", "0"), False)}
FORMULA_STARTS = "=+-@\t\r\n＝＋－＠"  # also full-width: spreadsheets read them as their ASCII likes
INVISIBLE = " \u00a0\u200b\u200c\u200d\u2060\ufeff"


class ReviewError(KitError):
    """The sheet can't be read, or would be overwritten."""


@dataclass(frozen=True, slots=True)
class Label:
    """What a person wrote in one row, counted as a spreadsheet does; `met` is None where they wrote nothing."""

    row: int
    sample_id: str
    response_id: str
    rubric_id: str
    met: bool | None


@dataclass(slots=True)
class Counts:
    """Two raters' yes and no: the people's comes first."""

    both: int = 0
    only_people: int = 0
    only_judge: int = 0
    neither: int = 0

    def add(self, *, people: bool, judge: bool) -> None:
        name = {(True, True): "both", (True, False): "only_people", (False, True): "only_judge", (False, False): "neither"}[people, judge]
        setattr(self, name, getattr(self, name) + 1)

    @property
    def agreed(self) -> Share:
        return Share(self.both + self.neither, self.both + self.only_people + self.only_judge + self.neither)

    @property
    def kappa(self) -> float | None:
        return cohen_kappa(self.both, self.only_people, self.only_judge, self.neither)


@dataclass(frozen=True, slots=True)
class Agreement:
    """People beside the judge: by criterion, and by sample (good enough to keep, at the run's threshold)."""

    criteria: Counts = field(default_factory=Counts)
    samples: Counts = field(default_factory=Counts)
    unlabelled: int = 0

    @property
    def sensitivity(self) -> Share:
        """Of the samples that people find good, those that the judge passes."""
        return Share(self.samples.both, self.samples.both + self.samples.only_people)

    @property
    def specificity(self) -> Share:
        """Of the samples that people find bad, those that the judge drops: natural failures, unlike planted ones."""
        return Share(self.samples.neither, self.samples.neither + self.samples.only_judge)


@holding
def write_sheet(settings: Settings) -> Path:
    """Write `review.csv` and return its path. Raises ReviewError rather than overwrite what people have filled in."""
    run = run_of(settings)
    if run.review.exists() and any(label.met is not None for label in read_sheet(run.review)):
        raise ReviewError(f"{run.review} has been filled in: give it another name (and name it in REVIEW_CSV), then run make review again.")
    judged = [(sample, decision.status) for sample, evaluation, decision in decisions(settings) if evaluation]
    if not judged:
        raise ReviewError(f"{run.dir}: no sample has been judged yet. Run 02_filter first.")
    picked = drawn_evenly(judged, settings.review_samples, random_seed=settings.random_seed)
    with whole_file(run.review) as file:
        file.write("\ufeff")  # spreadsheets read UTF-8 only with it
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for sample in picked:
            writer.writerows(map(safe_cell, row) for row in _rows(sample, settings.random_seed))
    return run.review


def drawn_evenly(judged: Sequence[tuple[Sample, str]], count: int, *, random_seed: int) -> list[Sample]:
    """Return `count` samples in an order that tells nothing.

    Each status is there in its proportion (to within one), kinds of misconception in theirs (to within two).
    """

    def chance(sample: Sample) -> bytes:
        return hashlib.sha256(f"{random_seed}/{sample.id}/review".encode()).digest()

    ordered = [sample for sample, _ in sorted(judged, key=lambda pair: (pair[1], pair[0].metadata.misconception_type, chance(pair[0])))]
    count = min(count, len(ordered))
    start = chance(ordered[0])[0] / 256
    return sorted((ordered[int((place + start) * len(ordered) / count)] for place in range(count)), key=chance)


def safe_cell(text: str) -> str:
    """Return `text` with an apostrophe before it where a spreadsheet might read a formula. Source: OWASP, CSV injection."""
    return f"'{text}" if text.lstrip(INVISIBLE)[:1] in tuple(FORMULA_STARTS) else text


def read_sheet(path: Path) -> list[Label]:
    """Return the labels of a sheet, one for each sample and criterion.

    Raises ReviewError naming the row, or both rows when they contradict one another.
    """
    file = TextFile(path, "review_csv", ReviewError)
    table = read_table(file, read_bytes(file), required=USED)
    labels: dict[tuple[str, str, str], Label] = {}
    for row in table.rows:
        if row.flaw:
            raise file.refusal(row.flaw.detail, at=f"row {row.sheet_row}", advice="Mend the row.")
        if not any(row.cells.values()):
            continue
        label = _label(file, row)
        criterion = (label.sample_id, label.response_id, label.rubric_id)
        first = labels.get(criterion, label)
        if first.met is None:
            labels[criterion] = label
            continue
        if label.met not in (first.met, None):
            problem = f"{label.sample_id}, {label.rubric_id} is answered twice, with yes and with no"
            raise file.refusal(plain(problem), at=f"rows {first.row} and {label.row}", advice="Keep one of the two answers.")
        labels[criterion] = first
    return list(labels.values())


def agreement(settings: Settings) -> Agreement | None:
    """Return how far people and judge agree, or None when no sheet is named. Raises ReviewError when it is of another run."""
    if not settings.review_csv:
        return None
    path = from_root(settings.review_csv)
    labels: dict[str, list[Label]] = {}
    for label in read_sheet(path):
        labels.setdefault(label.sample_id, []).append(label)
    found = Agreement(unlabelled=sum(label.met is None for rows in labels.values() for label in rows))
    for sample, evaluation, _ in decisions(settings):
        if evaluation and sample.id in labels:
            _compare(sample, evaluation, labels.pop(sample.id), found, settings, path)
    for rows in labels.values():
        raise ReviewError(f"{path}, row {rows[0].row}: {rows[0].sample_id} is no judged sample of run {settings.run}.")
    return found


def _compare(sample: Sample, evaluation: Evaluation, labels: Iterable[Label], found: Agreement, settings: Settings, path: Path) -> None:
    judge = {verdict.rubric_id: verdict.met for verdict in evaluation.verdicts}
    people: dict[str, bool] = {}
    for label in labels:
        if label.response_id != response_id(sample) or label.rubric_id not in judge:
            raise ReviewError(
                f"{path}, row {label.row}: {sample.id} has changed since the sheet was written, or the sheet is of another run."
            )
        if label.met is not None:
            people[label.rubric_id] = label.met
            found.criteria.add(people=label.met, judge=judge[label.rubric_id])
    critical = [rubric.id for rubric in sample.metadata.rubrics if rubric.critical]
    if critical and all(name in people for name in critical):

        def good(met: dict[str, bool]) -> bool:
            return sum(met[name] for name in critical) > settings.threshold * len(critical)

        found.samples.add(people=good(people), judge=good(judge))


def response_id(sample: Sample) -> str:
    """Return a short name of the response that a spreadsheet does not take for a number."""
    return "x" + hashlib.sha256(sample.response.encode()).hexdigest()[:8]


def _rows(sample: Sample, random_seed: int) -> Iterator[tuple[str, ...]]:
    """Yield a row for each critical criterion, in an order of its own; the texts stand in the first."""
    about = sample.metadata
    texts: tuple[str, ...] = (about.question, about.explanation, about.follow_up, sample.response)
    critical = [rubric for rubric in about.rubrics if rubric.critical]
    for rubric in sorted(critical, key=lambda rubric: hashlib.sha256(f"{random_seed}/{sample.id}/{rubric.id}".encode()).digest()):
        yield sample.id, response_id(sample), *texts, rubric.id, rubric.criteria, "", ""
        texts = ("", "", "", "")


def _label(file: TextFile, row: Row) -> Label:
    sample_id, response, rubric_id, met = (row.cells[name].strip() for name in USED)
    if met and met.casefold() not in ANSWERS:
        problem = f"met is '{plain(met, longest=40)}'"
        raise file.refusal(problem, at=f"row {row.sheet_row}", advice="Write yes or no, or leave it empty.")
    return Label(row.sheet_row, sample_id, response, rubric_id, ANSWERS.get(met.casefold()))
