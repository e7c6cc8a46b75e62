"""A TutorBench-format CSV -> usable seeds, and the rows set aside, each with a reason.

RUBRICS may be JSON or a Python literal, or either of them written as a string. TutorBench gives severities instead of weights.
Source of the format: TutorBench (arXiv 2510.02663), text rows.
"""

import ast
import hashlib
import json
import re
import warnings
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import KitError, counted, plain
from lib.generate.tabular import Flaw, Row, emptied, flaw_of, read_table
from lib.generate.text_file import TextFile, read_bytes
from lib.schema import WEIGHT_OF, Rubric, RubricAttributes, Seed

REASON_OF_EMPTY = {"PROMPT": "no_prompt", "UC1_INITIAL_EXPLANATION": "no_explanation", "FOLLOW_UP_PROMPT": "no_follow_up"}
REQUIRED = (*REASON_OF_EMPTY, "RUBRICS")
OPTIONAL = ("SUBJECT", "IMAGE_URL")
ATTRIBUTES = ("tutoring_skill", "eval_dimension", "explicitness", "objectivity")
AROUND = re.compile(r"^[\s\u200b\ufeff]+|[\s\u200b\ufeff]+$")  # white space, invisible too, before and after a cell's text
MOST_WRAPPINGS = 3  # how often a list of rubrics may have been written as a string
SEVERITY_OF = {weight: severity for severity, weight in WEIGHT_OF.items()}


class SeedFileError(KitError):
    """The whole file can't be used, or a row can't and `on_bad_row` is "stop"."""


@dataclass(frozen=True, slots=True)
class RowSetAside:
    row: int  # counts data rows from 1
    reason: str  # a short code to count by
    detail: str


@dataclass(frozen=True, slots=True)
class SeedFile:
    path: Path
    sha256: str
    seeds: tuple[Seed, ...]
    set_aside: tuple[RowSetAside, ...]
    rubrics_deleted: int  # that TutorBench itself has marked as deleted
    remarks: tuple[str, ...] = ()  # how the file was read

    @property
    def reasons(self) -> dict[str, int]:
        """The number of rows set aside by reason, most frequent first."""
        return dict(Counter(row.reason for row in self.set_aside).most_common())

    def __str__(self) -> str:
        deleted = f"; {self.rubrics_deleted} rubrics were marked deleted and left out" if self.rubrics_deleted else ""
        return f"{self.path.name}: {counted(len(self.seeds), 'usable seed')}, {counted(len(self.set_aside), 'row')} set aside{deleted}"

    def rows(self) -> list[dict[str, Any]]:
        """Return why rows were set aside, with the first row of each reason, as rows of a table."""
        first = {row.reason: row for row in reversed(self.set_aside)}
        return [
            {"reason": why, "rows": count, "first": f"row {first[why].row}: {first[why].detail}"} for why, count in self.reasons.items()
        ]

    def first_rows(self) -> list[dict[str, Any]]:
        """Return the first three seeds as rows of a table."""
        return [
            {"row": seed.row, "subject": seed.subject, "prompt": _cut(seed.prompt), "follow-up": _cut(seed.follow_up)}
            | {"rubrics": len(seed.rubrics)}
            for seed in self.seeds[:3]
        ]


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
        except Flaw as flaw:
            if on_bad_row == "stop":
                at, advice = f"row {row.number} (line {row.line})", "Fix the cell, or pass on_bad_row='skip'."
                raise file.refusal(flaw.detail, at=at, advice=advice) from None
            aside.append(RowSetAside(row.number, flaw.reason, flaw.detail))
        else:
            seeds.append(seed)
            deleted += dropped
    if not seeds:
        why = ", ".join(f"{count} × {reason}" for reason, count in Counter(row.reason for row in aside).items()) or "no rows at all"
        first = f". Row {aside[0].row}: {aside[0].detail}" if aside else ""
        raise file.refusal(f"no usable row ({why}){first}", advice=f"Each needs {', '.join(REQUIRED)}; see data/README.md.")
    return SeedFile(path, hashlib.sha256(raw).hexdigest(), tuple(seeds), tuple(aside), deleted, table.remarks)


def texts_and_rubrics(row: Row, *, may_be_empty: Collection[str] = ()) -> tuple[dict[str, str], tuple[Rubric, ...], int]:
    """Return the texts of a row by column, its rubrics, and the number of those that TutorBench has deleted. Raises Flaw."""
    if row.flaw:
        raise row.flaw
    if row.cells["IMAGE_URL"]:
        raise Flaw("image_needed", "IMAGE_URL: the question needs an image")
    values = {name: AROUND.sub("", row.cells[name]) for name in REQUIRED}
    if empty := next((name for name in REASON_OF_EMPTY if not values[name] and name not in may_be_empty), ""):
        raise Flaw(REASON_OF_EMPTY[empty], f"{empty}: empty")
    entries = _rubric_entries(values["RUBRICS"])
    rubrics = tuple(rubric for position, entry in enumerate(entries, start=1) if (rubric := _rubric(position, entry)))
    if not rubrics:
        raise Flaw("no_rubrics", "RUBRICS: no rubric is left")
    return values, rubrics, len(entries) - len(rubrics)


def _seed(row: Row) -> tuple[Seed, int]:
    """Return the seed of a row, and the number of its rubrics that TutorBench has deleted. Raises Flaw."""
    values, rubrics, deleted = texts_and_rubrics(row)
    prompt, explanation, follow_up, _ = values.values()
    digest = hashlib.sha256(json.dumps(values, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
    subject = row.cells["SUBJECT"].strip()
    seed = Seed(
        row=row.number, prompt=prompt, explanation=explanation, follow_up=follow_up, subject=subject, rubrics=rubrics, sha256=digest
    )
    return seed, deleted


def _rubric_entries(cell: str) -> list[Any]:
    entries: Any = cell
    for _ in range(MOST_WRAPPINGS):
        if isinstance(entries, str):
            entries = _literal(entries)
    if not isinstance(entries, list):
        raise Flaw("broken_rubrics", f"RUBRICS: a list is needed, not {type(entries).__name__}")
    return entries


def _literal(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError) as json_problem:
        try:
            with warnings.catch_warnings(action="ignore"):  # about a `\\(` in a literal, which is meant as it stands
                return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise Flaw("broken_rubrics", f"RUBRICS: neither JSON nor a Python list ({json_problem})") from None


def _rubric(position: int, entry: Any) -> Rubric | None:
    """Return the rubric, or None when TutorBench has deleted it. A `weight` key wins over the severity. Raises Flaw."""
    where = f"RUBRICS: rubric {position}"
    fields = entry if isinstance(entry, dict) else {}
    attributes, criteria = fields.get("attributes"), _text(fields.get("criteria"))
    if not isinstance(attributes, dict) or not criteria:
        raise Flaw("broken_rubrics", f"{where} needs criteria, as text, and attributes")
    others = {name: _joined(attributes.get(name)).strip() for name in ATTRIBUTES}
    if flaw := next(filter(None, map(flaw_of, (criteria, *others.values()))), None):
        raise Flaw("broken_rubrics", f"{where} {flaw.detail}")
    severity = _text(attributes.get("severity")).strip().lower()
    if severity == "deleted":
        return None
    weight: Any = fields.get("weight", WEIGHT_OF.get(severity))  # type: ignore[call-overload]  # any text
    if isinstance(weight, bool) or weight not in WEIGHT_OF.values():
        shown = f"weight {_shown(fields['weight'])}" if "weight" in fields else f"severity '{plain(severity, longest=40)}'"
        raise Flaw("unknown_severity", f"{where} has the unknown {shown}")
    kind = RubricAttributes(severity=SEVERITY_OF[weight], **others)
    return Rubric(id=f"r{position}", criteria=criteria, weight=weight, attributes=kind)


def _shown(value: object) -> str:
    """Return what a message shows of a value, because some values can't be written as text at all."""
    return plain(repr(value), longest=40) if isinstance(value, str | float | bool) or value in range(-99, 100) else type(value).__name__


def _text(value: object) -> str:
    """Return a text as it stands, and "" for anything else, because `str(None)` is no criterion."""
    return emptied(value) if isinstance(value, str) else ""


def _joined(value: object) -> str:
    return ", ".join(map(_text, value)) if isinstance(value, list) else _text(value)


def _cut(text: str, *, length: int = 140) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
