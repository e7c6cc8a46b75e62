"""A TutorBench-format CSV -> usable seeds, and the rows set aside, each with a reason.

People's copies come in any state: with or without BOM, UTF-8 or Windows-1252, CRLF, newlines in cells, stray blanks in header
and values, RUBRICS as JSON or as a Python literal. TutorBench has no `weight` key; the four severities carry it.
Source of the format: TutorBench (arXiv 2510.02663), text rows.
"""

import ast
import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import KitError
from lib.schema import WEIGHT_OF, Rubric, RubricAttributes, Seed

REQUIRED = ("PROMPT", "UC1_INITIAL_EXPLANATION", "FOLLOW_UP_PROMPT", "RUBRICS")
ATTRIBUTES = ("tutoring_skill", "eval_dimension", "explicitness", "objectivity")
AROUND = re.compile(r"^[\s\u200b\ufeff]+|[\s\u200b\ufeff]+$")  # blanks, zero-width ones too, before and after a cell's text
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
    """`rubrics_deleted` counts the rubrics that TutorBench itself has marked as deleted."""

    path: Path
    sha256: str
    seeds: tuple[Seed, ...]
    set_aside: tuple[RowSetAside, ...]
    rubrics_deleted: int

    @property
    def reasons(self) -> dict[str, int]:
        return dict(Counter(row.reason for row in self.set_aside).most_common())


class _Unusable(Exception):
    def __init__(self, reason: str, column: str, detail: str) -> None:
        super().__init__(f"{column}: {detail}")
        self.reason, self.column, self.detail = reason, column, detail


def read_seeds(path: Path, *, on_bad_row: str = "skip") -> SeedFile:
    """Read the seeds of `path`. Raises SeedFileError naming the file, the row and the column, and what to do."""
    raw = _bytes(path)
    seeds: list[Seed] = []
    aside: list[RowSetAside] = []
    deleted = 0
    for number, cells in enumerate(_rows(path, _text(path, raw)), start=1):
        try:
            seed, dropped = _seed(number, cells)
        except _Unusable as problem:
            if on_bad_row == "stop":
                raise SeedFileError(f"{path}, row {number}, column {problem}. Fix the cell, or pass on_bad_row='skip'.") from None
            aside.append(RowSetAside(number, problem.reason, str(problem)))
            continue
        seeds.append(seed)
        deleted += dropped
    if not seeds:
        why = ", ".join(f"{count} × {reason}" for reason, count in Counter(row.reason for row in aside).items()) or "no rows at all"
        raise SeedFileError(f"{path}: no usable row ({why}). Each needs {', '.join(REQUIRED)}; see data/README.md.")
    return SeedFile(path, hashlib.sha256(raw).hexdigest(), tuple(seeds), tuple(aside), deleted)


def _bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise SeedFileError(f"{path}: no such file. Set seeds_csv (SEEDS_CSV='…' with make); blanks in the path are fine.") from None
    except OSError as error:
        raise SeedFileError(f"{path}: {error.strerror}. Set seeds_csv to a readable CSV file.") from None
    if not raw.strip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"):
        raise SeedFileError(f"{path}: the file is empty. Set seeds_csv to a TutorBench-format CSV.")
    if b"\x00" in raw[:4096] and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SeedFileError(f"{path}: not a text file. Export the sheet as CSV (UTF-8) and try again.")
    return raw


def _text(path: Path, raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return raw.decode("utf-16")
        except UnicodeDecodeError:
            raise SeedFileError(f"{path}: not a text file. Export the sheet as CSV (UTF-8) and try again.") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def _rows(path: Path, text: str) -> Iterator[dict[str, str]]:
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        header = [name.strip().strip("\ufeff").upper() for name in next(reader)]
        if missing := [name for name in REQUIRED if name not in header]:
            raise SeedFileError(f"{path}, row 0 (header): missing column {', '.join(missing)}; found {', '.join(header)[:200]}.")
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise SeedFileError(f"{path}, line {reader.line_num}: not CSV ({error}). Export it again with quoted cells.") from None


def _delimiter(text: str) -> str:
    header = text.split("\n", 1)[0]
    return max(",;\t", key=header.count)


def _seed(number: int, cells: dict[str, str]) -> tuple[Seed, int]:
    values = {name: AROUND.sub("", cells.get(name, "")) for name in REQUIRED}
    if cells.get("IMAGE_URL", "").strip():
        raise _Unusable("image_needed", "IMAGE_URL", "the question needs an image")
    for name, reason in (("PROMPT", "no_prompt"), ("UC1_INITIAL_EXPLANATION", "no_explanation"), ("FOLLOW_UP_PROMPT", "no_follow_up")):
        if not values[name]:
            raise _Unusable(reason, name, "empty")
    entries = _rubric_entries(values["RUBRICS"])
    rubrics = [rubric for position, entry in enumerate(entries, start=1) if (rubric := _rubric(position, entry))]
    if not rubrics:
        raise _Unusable("no_rubrics", "RUBRICS", "no rubric is left")
    digest = hashlib.sha256(json.dumps(values, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
    if not all(_is_text(value) for value in values.values()):
        raise _Unusable("not_text", "PROMPT … RUBRICS", "half a character (a lone surrogate) stands in the cell")
    seed = Seed(
        row=number,
        prompt=values["PROMPT"],
        explanation=values["UC1_INITIAL_EXPLANATION"],
        follow_up=values["FOLLOW_UP_PROMPT"],
        subject=cells.get("SUBJECT", "").strip(),
        rubrics=tuple(rubrics),
        sha256=digest,
    )
    return seed, len(entries) - len(rubrics)


def _rubric_entries(cell: str) -> list[Any]:
    try:
        entries = json.loads(cell, strict=False)
    except (ValueError, RecursionError) as json_problem:
        try:
            entries = ast.literal_eval(cell)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            raise _Unusable("broken_rubrics", "RUBRICS", f"neither JSON nor a Python list ({json_problem})") from None
    if not isinstance(entries, list):
        raise _Unusable("broken_rubrics", "RUBRICS", f"a list is needed, not {type(entries).__name__}")
    return entries


def _rubric(position: int, entry: Any) -> Rubric | None:
    """Return the rubric, or None when TutorBench has deleted it. A `weight` key wins over the severity."""
    where = f"rubric {position}"
    attributes = entry.get("attributes") if isinstance(entry, dict) else None
    if not isinstance(attributes, dict) or not str(entry.get("criteria", "")).strip():
        raise _Unusable("broken_rubrics", "RUBRICS", f"{where} needs criteria and attributes")
    severity = str(attributes.get("severity", "")).strip().lower()
    if severity == "deleted":
        return None
    weight = entry.get("weight", WEIGHT_OF.get(severity))  # type: ignore[call-overload]  # any text may stand in the cell
    if isinstance(weight, bool) or not isinstance(weight, int | float) or weight not in SEVERITY_OF:
        shown = f"weight {entry['weight']!r}" if "weight" in entry else f"severity {severity!r}"
        raise _Unusable("unknown_severity", "RUBRICS", f"{where} has the unknown {shown}")
    if not _is_text(json.dumps(entry, ensure_ascii=False, default=str)):
        raise _Unusable("broken_rubrics", "RUBRICS", f"{where} holds half a character (a lone surrogate)")
    others = {name: str(attributes.get(name, "")).strip() for name in ATTRIBUTES}
    kind = RubricAttributes(severity=SEVERITY_OF[int(weight)], **others)
    return Rubric(id=f"r{position}", criteria=str(entry["criteria"]), weight=int(weight), attributes=kind)


def _is_text(text: str) -> bool:
    """Whether `text` can be written as UTF-8: a lone surrogate can't."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
