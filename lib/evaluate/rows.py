"""A run, or a CSV in TutorBench's columns -> the rows that candidates answer, and how many were set aside and why.

A run's own rows are its validation samples, whose seed questions and near copies are not in its training file. A row of a CSV whose
question is one of the run's seeds is set aside, because a model that was trained on the run may have seen it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lib.errors import KitError, counted
from lib.generate.dealing import drawn
from lib.generate.seeds import OPTIONAL, REQUIRED, SeedFileError, texts_and_rubrics
from lib.generate.tabular import Flaw, Row, read_table
from lib.generate.text_file import TextFile, read_bytes
from lib.run.files import RunError
from lib.run.records import kept_samples, made_samples
from lib.run.run import Run
from lib.schema import EvaluationRow, Rubric, UseCase, prompt_digest
from lib.settings import from_root, short_path
from lib.taxonomy import label

# A row without an explanation holds the student's own work. It asks for hints when its rubrics speak of hints, or ban the answer.
ASKS_FOR_HINTS = re.compile(
    r"\bhints?\b|must not (?:\w+ ){0,4}(?:reveal|give|provide|state|solve)\b|without (?:\w+ ){0,3}(?:answer|solution)\b", re.IGNORECASE
)
SMOKE_TEST = 30  # rows, below which nothing but the working of the code is shown
SEEN_IN_TRAINING = "seen_in_training"


@dataclass(frozen=True)
class Rows:
    """The rows, where they come from, and the reasons why others are not among them."""

    rows: tuple[EvaluationRow, ...]
    source: str  # in words
    is_own: bool  # true for the run's validation samples
    set_aside: dict[str, int]
    not_drawn: int = 0  # beyond `max_rows`
    is_train: bool = False  # true for the run's training samples, of which answers make preference pairs

    def __iter__(self) -> Iterator[EvaluationRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def by_id(self) -> dict[str, EvaluationRow]:
        return {row.id: row for row in self.rows}

    @property
    def claim(self) -> str:
        """What scores on these rows can be called, in words."""
        if self.is_train:
            return f"training rows: {len(self):,}, whose answers make preference pairs and measure nothing"
        if len(self) < SMOKE_TEST:
            return f"smoke test: {counted(len(self), 'row')}, fewer than {SMOKE_TEST}, show that the code works and nothing of a model"
        if self.is_own:
            return f"held-out rows of the run itself: {len(self):,} validation samples, made by the same prompts as the training samples"
        return f"benchmark rows: {len(self):,} of {Path(self.source).name}"

    def __str__(self) -> str:
        aside = ", ".join(f"{count:,} {label(reason).lower()}" for reason, count in self.set_aside.items())
        more = f"; {self.not_drawn:,} more were not drawn (max_rows)" if self.not_drawn else ""
        groups = counted(len({row.group for row in self}), "seed" if self.is_own else "question")
        return f"{counted(len(self), 'row')} over {groups} from {self.source}; set aside: {aside or 'none'}{more}\n{self.claim}"

    def by_use_case(self) -> list[dict[str, Any]]:
        counts = Counter(row.use_case for row in self)
        return [{"use case": USE_CASES[name], "rows": count} for name, count in counts.items()]


USE_CASES: dict[UseCase, str] = {
    "explanation": "explain again to a student who is still confused",
    "feedback": "feedback on the student's own work",
    "hint": "hints for the next step",
}


def read_rows(run: Run) -> Rows:
    """Return the rows that `rows_csv` names, or the run's validation samples.

    Raises RunError when the run has none, and SeedFileError when the file can't be used.
    """
    found = _of_file(run, from_root(run.settings.rows_csv)) if run.settings.rows_csv else _of_run(run)
    most = run.settings.max_rows
    if not most or len(found) <= most:
        return found
    chosen = set(drawn(found.by_id, count=most, seed=f"{run.settings.random_seed}/rows"))
    rows = tuple(row for row in found if row.id in chosen)
    return replace(found, rows=rows, not_drawn=len(found) - most)


def _of_run(run: Run) -> Rows:
    held, is_train = validation_ids(run), run.settings.rows_side == "train"
    rows = tuple(EvaluationRow.of(sample) for sample in kept_samples(run) if (sample.id in held) is not is_train)
    if not rows:
        raise RunError(
            f"{run.dir} has no validation samples to evaluate on. Make more samples, or set a larger VALIDATION_SHARE, and run 04_validate "
            "again; or name other rows in ROWS_CSV."
        )
    side = run.settings.rows_side
    return Rows(
        rows, f"the {'training' if is_train else side} samples of run {run.settings.run}", is_own=True, set_aside={}, is_train=is_train
    )


def validation_ids(run: Run) -> set[str]:
    """Return the ids of the validation samples, as notebook 4 has split them. Raises RunError when it has not been run."""
    from pyarrow import ArrowException, parquet

    if not (run.dataset / "README.md").exists():
        raise RunError(f"{run.dir} has not been split into train and validation yet: run 04_validate with the same RUN first.")
    path = run.dataset / "data" / "validation.parquet"
    if not path.exists():
        return set()
    try:
        return set(parquet.read_table(path, columns=["id"]).column("id").to_pylist())
    except (ArrowException, OSError, KeyError) as problem:
        raise RunError(f"{path}: can't be read ({problem}). Run 04_validate again: it writes the file anew.") from None


def _of_file(run: Run, path: Path) -> Rows:
    file = TextFile(path, "rows_csv", SeedFileError)
    table = read_table(file, read_bytes(file), required=REQUIRED, optional=OPTIONAL)
    seen = {sample.metadata.seed_prompt_sha256 for sample in made_samples(run)}
    rows, aside = list[EvaluationRow](), Counter[str]()
    for row in table.rows:
        try:
            found = _file_row(row)
        except Flaw as flaw:
            aside[flaw.reason] += 1
        else:
            if found.group in seen:
                aside[SEEN_IN_TRAINING] += 1
            else:
                rows.append(found)
    if not rows:
        why = ", ".join(f"{count} × {reason}" for reason, count in aside.items()) or "no rows at all"
        raise file.refusal(f"no usable row ({why})", advice=f"Each needs {', '.join(REQUIRED)}; see data/README.md.")
    return Rows(tuple(rows), short_path(path), is_own=False, set_aside=dict(aside.most_common()))


def _file_row(row: Row) -> EvaluationRow:
    """Return a row of a file. Its id holds a digest of its texts, because another file has other rows of the same number. Raises Flaw."""
    values, rubrics, _ = texts_and_rubrics(row, may_be_empty=("UC1_INITIAL_EXPLANATION",))
    if not any(rubric.weight > 0 for rubric in rubrics):
        raise Flaw("only_bans", "RUBRICS: no criterion has a positive weight, so there is no score")
    return EvaluationRow(
        id=f"row{row.number:04}_{prompt_digest(str(values))[:6]}",
        use_case=use_case_of(values["UC1_INITIAL_EXPLANATION"], rubrics),
        question=values["PROMPT"],
        explanation=values["UC1_INITIAL_EXPLANATION"],
        follow_up=values["FOLLOW_UP_PROMPT"],
        rubrics=rubrics,
        subject=row.cells["SUBJECT"].strip(),
    )


def use_case_of(explanation: str, rubrics: Sequence[Rubric]) -> UseCase:
    """Return TutorBench's use case. Its files do not name it, so the two without an explanation are told apart by their rubrics."""
    if explanation:
        return "explanation"
    return "hint" if any(ASKS_FOR_HINTS.search(rubric.criteria) for rubric in rubrics) else "feedback"


class NothingToEvaluate(KitError):
    """No candidate is named, or the baseline is none of them."""


def candidates_of(run: Run) -> list[str]:
    """Return the candidates, the baseline first. Raises NothingToEvaluate."""
    names = [name for name in run.settings.candidates.split(",") if name]
    if not names:
        raise NothingToEvaluate(
            "Name the models to evaluate in CANDIDATES, the one to compare with first, for example "
            "CANDIDATES=openai/base,openai/tuned beside OPENAI_BASE_URL, or CANDIDATES=claude-haiku-5-5."
        )
    first = run.settings.baseline or names[0]
    if first not in names:
        raise NothingToEvaluate(f"BASELINE={first} is none of the candidates ({', '.join(names)}).")
    return sorted(names, key=lambda name: name != first)
