"""A TutorBench-format CSV -> usable seeds, and the rows set aside, each with a reason.

`tabular` says in which state a file may be. RUBRICS may be JSON or a Python literal, or either of them written as one string.
TutorBench has no `weight` key; the four severities carry it.
Source of the format: TutorBench (arXiv 2510.02663), text rows.
"""

import ast
import hashlib
import json
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import KitError, plain
from lib.generate.tabular import Row, emptied, flaw_of, read_table
from lib.generate.text_file import TextFile, read_bytes
from lib.schema import WEIGHT_OF, Rubric, RubricAttributes, Seed

REQUIRED = ("PROMPT", "UC1_INITIAL_EXPLANATION", "FOLLOW_UP_PROMPT", "RUBRICS")
OPTIONAL = ("SUBJECT", "IMAGE_URL")
ATTRIBUTES = ("tutoring_skill", "eval_dimension", "explicitness", "objectivity")
AROUND = re.compile(r"^[\s\u200b\ufeff]+|[\s\u200b\ufeff]+$")  # blanks, zero-width ones too, before and after a cell's text
MOST_WRAPPINGS = 3  # how often a list of rubrics may have been written as a string
SEVERITY_OF = {weight: severity for severity, weight in WEIGHT_OF.items()}


class SeedFileError(KitError):
    """The whole file can't be used, or a row can't and `on_bad_row` is "stop"."""


@dataclass(frozen=True, slots=True)
class RowSetAside:
    """`row` counts data rows from 1. `reason` is a short countable code."""

    row: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class SeedFile:
    """`rubrics_deleted` counts the rubrics that TutorBench itself has marked as deleted. `remarks` say how the file was read."""

    path: Path
    sha256: str
    seeds: tuple[Seed, ...]
    set_aside: tuple[RowSetAside, ...]
    rubrics_deleted: int
    remarks: tuple[str, ...] = ()

    @property
    def reasons(self) -> dict[str, int]:
        return dict(Counter(row.reason for row in self.set_aside).most_common())


class _Unusable(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def read_seeds(path: Path, *, on_bad_row: str = "skip") -> SeedFile:
    """Read the seeds of `path`. Raises SeedFileError naming the file, the row and the column, and what to do."""
    file = TextFile(path, "seeds_csv", SeedFileError)
    raw = read_bytes(file)
    table = read_table(file, raw, required=REQUIRED, optional=OPTIONAL)
    seeds: list[Seed] = []
    aside: list[RowSetAside] = []
    deleted = 0
    for row in table.rows:
        try:
            seed, dropped = _seed(row)
        except _Unusable as problem:
            if on_bad_row == "stop":
                at, advice = f"row {row.number} (line {row.line})", "Fix the cell, or pass on_bad_row='skip'."
                raise file.refusal(str(problem), at=at, advice=advice) from None
            aside.append(RowSetAside(row.number, problem.reason, str(problem)))
            continue
        seeds.append(seed)
        deleted += dropped
    if not seeds:
        why = ", ".join(f"{count} × {reason}" for reason, count in Counter(row.reason for row in aside).items()) or "no rows at all"
        first = f". Row {aside[0].row}: {aside[0].detail}" if aside else ""
        raise file.refusal(f"no usable row ({why}){first}", advice=f"Each needs {', '.join(REQUIRED)}; see data/README.md.")
    return SeedFile(path, hashlib.sha256(raw).hexdigest(), tuple(seeds), tuple(aside), deleted, table.remarks)


def _seed(row: Row) -> tuple[Seed, int]:
    """Return the seed, and how many of its rubrics TutorBench has deleted."""
    if row.flaw:
        raise _Unusable(row.flaw.reason, row.flaw.detail)
    values = {name: AROUND.sub("", row.cells[name]) for name in REQUIRED}
    if row.cells["IMAGE_URL"]:
        raise _Unusable("image_needed", "IMAGE_URL: the question needs an image")
    for name, reason in (("PROMPT", "no_prompt"), ("UC1_INITIAL_EXPLANATION", "no_explanation"), ("FOLLOW_UP_PROMPT", "no_follow_up")):
        if not values[name]:
            raise _Unusable(reason, f"{name}: empty")
    entries = _rubric_entries(values["RUBRICS"])
    rubrics = [rubric for position, entry in enumerate(entries, start=1) if (rubric := _rubric(position, entry))]
    if not rubrics:
        raise _Unusable("no_rubrics", "RUBRICS: no rubric is left")
    seed = Seed(
        row=row.number,
        prompt=values["PROMPT"],
        explanation=values["UC1_INITIAL_EXPLANATION"],
        follow_up=values["FOLLOW_UP_PROMPT"],
        subject=row.cells["SUBJECT"].strip(),
        rubrics=tuple(rubrics),
        sha256=hashlib.sha256(json.dumps(values, ensure_ascii=False, sort_keys=True).encode()).hexdigest(),
    )
    return seed, len(entries) - len(rubrics)


def _rubric_entries(cell: str) -> list[Any]:
    entries: Any = cell
    for _ in range(MOST_WRAPPINGS):
        if isinstance(entries, str):
            entries = _literal(entries)
    if not isinstance(entries, list):
        raise _Unusable("broken_rubrics", f"RUBRICS: a list is needed, not {type(entries).__name__}")
    return entries


def _literal(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError) as json_problem:
        try:
            with warnings.catch_warnings(action="ignore"):  # of a `\\(` in a literal, which is meant as it stands
                return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise _Unusable("broken_rubrics", f"RUBRICS: neither JSON nor a Python list ({json_problem})") from None


def _rubric(position: int, entry: Any) -> Rubric | None:
    """Return the rubric, or None when TutorBench has deleted it. A `weight` key wins over the severity."""
    where = f"RUBRICS: rubric {position}"
    attributes = entry.get("attributes") if isinstance(entry, dict) else None
    criteria = _text(entry.get("criteria")) if isinstance(entry, dict) else ""
    if not isinstance(attributes, dict) or not criteria:
        raise _Unusable("broken_rubrics", f"{where} needs criteria, as text, and attributes")
    others = {name: _joined(attributes.get(name)).strip() for name in ATTRIBUTES}
    if flaw := next(filter(None, map(flaw_of, (criteria, *others.values()))), None):
        raise _Unusable("broken_rubrics", f"{where} {flaw.detail}")
    severity = _text(attributes.get("severity")).strip().lower()
    if severity == "deleted":
        return None
    weight = _weight(entry["weight"]) if "weight" in entry else WEIGHT_OF.get(severity)  # type: ignore[call-overload]  # any text
    if weight not in SEVERITY_OF:
        shown = f"weight {_shown(entry['weight'])}" if "weight" in entry else f"severity '{plain(severity, longest=40)}'"
        raise _Unusable("unknown_severity", f"{where} has the unknown {shown}")
    kind = RubricAttributes(severity=SEVERITY_OF[weight], **others)
    return Rubric(id=f"r{position}", criteria=criteria, weight=weight, attributes=kind)


def _weight(value: object) -> int | None:
    """Return the weight when `value` is one of the three."""
    return next((weight for weight in SEVERITY_OF if not isinstance(value, bool) and value == weight), None)


def _shown(value: object) -> str:
    """Return what a message may say of a value of any type: some can't be written as text at all."""
    return plain(repr(value), longest=40) if isinstance(value, str | float | bool) or value in range(-99, 100) else type(value).__name__


def _text(value: object) -> str:
    """Return a text as it stands, and "" for anything else: `str(None)` would be a criterion."""
    return emptied(value) if isinstance(value, str) else ""


def _joined(value: object) -> str:
    return ", ".join(map(_text, value)) if isinstance(value, list) else _text(value)
