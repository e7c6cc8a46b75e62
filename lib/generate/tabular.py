"""The bytes of a table that a person names in a setting -> its rows, by the same rules for seeds, topics and review sheets.

`encoding` says which encodings are read. The separator is a comma, semicolon, tab or "|", whichever makes most of the header, unless a
line such as `sep=;` before the header names another. Lines may end in any of the three ways, and blank lines are no rows. A cell is empty
when it holds only a placeholder such as `nan` or `#REF!`, or nothing that can be seen. A row has a flaw when it has more cells than
columns, or when a used cell holds characters that are no text. The caller sets such a row aside, or stops. Source of the format: RFC 4180.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from lib.errors import plain
from lib.generate.text_file import TextFile, text_of
from lib.schema import is_blank

SEPARATORS = ",;\t|"
HEADER_LINES = 100  # within these the header ends
LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
SEPARATOR_LINE = re.compile(r'\s*"?sep=(\t|[^\w\s"])"?[ ,;\t|]*(?:\r\n?|\n|\Z)', re.IGNORECASE)
# What pandas writes for a missing value, and what spreadsheets write for one that can't be computed.
PLACEHOLDER = re.compile(
    r"(?i:[-+]?nan|none|null|n/a|<na>|nat|#n/?a(?: n/a)?|#div/0!|#[a-z_]+[!?]|err:\d{3}|-?1\.#(?:ind|qnan))|NA"
)  # fmt: skip
LONGEST_PLACEHOLDER = 20
NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a row can't be used. `reason` is a short code to count by."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Row:
    """`cells` holds every used column by its name, "" where the row has nothing in it."""

    number: int  # counts data rows from 1
    sheet_row: int  # counts as a spreadsheet does, header and blank rows included
    line: int  # of the file, on which the row begins
    cells: dict[str, str]
    flaw: Flaw | None


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` can be read once. `remarks` say what a person should know of the file."""

    rows: Iterator[Row]
    remarks: tuple[str, ...]


def read_table(file: TextFile, raw: bytes, *, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Return the rows of a file with a header. Case and blanks around its names don't count.

    Raises the file's error when a required column is missing, a name stands twice, or, while rows are read, when it is no CSV.
    """
    text, remarks = text_of(file, raw)
    found = enumerate(records(file, text, names=(*required, *optional)), start=1)
    _, (line, cells) = next((one for one in found if not is_blank_record(one[1][1])), (0, (0, [])))
    if not cells:
        raise file.refusal("the file is empty")
    header = [_plain_name(cell) for cell in cells]
    at = f"line {line} (header)"
    if missing := [name for name in required if _plain_name(name) not in header]:
        shown = plain(", ".join(cell.strip() for cell in cells), longest=200)
        raise file.refusal(f"missing column {', '.join(missing)}; found {shown}", at=at)
    if twice := [cell for cell, count in Counter(header).items() if count > 1 and cell]:
        shown = plain(cells[header.index(twice[0])].strip())
        raise file.refusal(f"the column {shown} stands twice", at=at, advice="Rename or delete one of the two.")
    used = {name: header.index(_plain_name(name)) for name in (*required, *optional) if _plain_name(name) in header}
    absent = dict.fromkeys((*required, *optional), "")
    return Table(_rows(found, used, absent=absent, width=len(header)), remarks)


def records(file: TextFile, text: str, *, names: Iterable[str] = ()) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line it begins on. Raises the file's error at one that is no CSV. `names`: columns to expect."""
    csv.field_size_limit(2**31 - 1)
    skipped, separator = 0, ""
    if stated := SEPARATOR_LINE.match(text):
        text, separator, skipped = text[stated.end() :], stated[1], len(LINE.findall(stated[0]))
    reader = csv.reader(lines(text), delimiter=separator or _separator(text, names), strict=True)
    while True:
        line = skipped + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            advice = "Put the cell into quotes and double the quotes inside it, or export the file again."
            raise file.refusal(f"not CSV ({error})", at=f"line {line}", advice=advice) from None
        yield line, cells


def emptied(cell: str) -> str:
    """Return the cell as it stands, or "" when it holds a placeholder or nothing that can be seen."""
    if is_blank(cell):
        return ""
    return "" if len(cell) < LONGEST_PLACEHOLDER and PLACEHOLDER.fullmatch(cell.strip()) else cell


def flaw_of(text: str) -> Flaw | None:
    """Return what makes `text` unfit to be sent or stored: a control character, or bytes that are no character."""
    if not (found := NO_TEXT.search(text)):
        return None
    if found[0] >= "\ud800":
        return Flaw("not_text", "holds bytes that are no character of the file's encoding, or half a character (a lone surrogate)")
    return Flaw("control_character", f"holds the control character U+{ord(found[0]):04X}")


def lines(text: str) -> Iterator[str]:
    """Yield the lines, each with its end."""
    return (found[0] for found in LINE.finditer(text))


def is_blank_record(cells: Iterable[str]) -> bool:
    """Whether a record holds nothing that can be seen, separators aside."""
    return all(is_blank(cell.strip(SEPARATORS)) for cell in cells)


def _rows(found: Iterable[tuple[int, tuple[int, list[str]]]], used: dict[str, int], *, absent: dict[str, str], width: int) -> Iterator[Row]:
    number = 0
    for sheet_row, (line, cells) in found:
        if not any(cell.strip() for cell in cells):
            continue
        number += 1
        picked = absent | {name: emptied(cells[place]) for name, place in used.items() if place < len(cells)}
        yield Row(number, sheet_row, line, picked, _flaw(picked, surplus=len(cells) - width))


def _flaw(cells: dict[str, str], *, surplus: int) -> Flaw | None:
    if surplus > 0:
        return Flaw("surplus_cells", f"more cells than columns (by {surplus}): put a cell that holds the separator into quotes")
    for name, cell in cells.items():
        if flaw := flaw_of(cell):
            return Flaw(flaw.reason, f"{name}: {flaw.detail}")
    return None


def _separator(text: str, names: Iterable[str]) -> str:
    """Return the separator that gives the most of the expected columns, then the most columns; the comma when nothing tells."""
    expected, head = {_plain_name(name) for name in names}, list(islice(lines(text), HEADER_LINES))

    def header(separator: str) -> list[str]:
        return next((cells for cells in csv.reader(head, delimiter=separator) if not is_blank_record(cells)), [])

    candidates = {separator: header(separator) for separator in SEPARATORS}
    return max(SEPARATORS, key=lambda one: (len(expected & set(map(_plain_name, candidates[one]))), len(candidates[one])))


def _plain_name(cell: str) -> str:
    return cell.strip(" \t\r\n\xa0\u200b\ufeff").casefold()
