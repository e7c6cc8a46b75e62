"""The content of a table that a person names in a setting -> its rows. Seeds, topics and review sheets are read by the same rules.

The separator is a comma, semicolon, tab or "|", whichever makes most of the header. A line such as `sep=;` before the header may name
another. Lines may end in any of the three ways, and blank lines are no rows. A cell is empty when it holds only a placeholder such as
`nan` or `#REF!`, or nothing that can be seen. The caller sets a row with a flaw aside, or stops. Source of the format: RFC 4180.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from lib.errors import is_blank, plain
from lib.generate.text_file import TextFile, text_of

SEPARATORS = ",;\t|"
HEADER_LINES = 100  # the header is looked for in these
SEPARATOR_LINE = re.compile(r'\s*"?sep=(\t|[^\w\s"])"?[ ,;\t|]*(?:\r\n?|\n|\Z)', re.IGNORECASE)
# What pandas writes for a missing value, and what spreadsheets write for one that can't be computed.
PLACEHOLDER = re.compile(
    r"(?i:[-+]?nan|none|null|n/a|<na>|nat|#n/?a(?: n/a)?|#div/0!|#[a-z_]+[!?]|err:\d{3}|-?1\.#(?:ind|qnan))|NA"
)  # fmt: skip
NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(eq=False)
class Flaw(Exception):
    """Says why a row can't be used. It is a value of the row, or raised while a row is read."""

    reason: str  # a short code to count by
    detail: str


@dataclass(frozen=True, slots=True)
class Row:
    number: int  # counts data rows from 1
    sheet_row: int  # counts as a spreadsheet does, header and blank rows included
    line: int  # of the file, on which the row begins
    cells: dict[str, str]  # every used column by its name, "" where the row has nothing in it
    flaw: Flaw | None


@dataclass(frozen=True, slots=True)
class Table:
    rows: Iterator[Row]  # can be read once
    remarks: tuple[str, ...]  # what a person should know about the file


def read_table(file: TextFile, raw: bytes, *, required: Sequence[str], optional: Sequence[str] = ()) -> Table:
    """Return the rows of a file with a header, whose names are compared without case and blanks.

    Raises the file's error when a required column is missing or a name stands twice. Reading the rows raises it where they are not CSV.
    """
    text, remarks = text_of(file, raw)
    names = (*required, *optional)
    numbered = enumerate(records(file, text, names=names), start=1)
    line, titles = next((record for _, record in numbered if not is_blank_record(record[1])), (0, []))
    if not titles:
        raise file.refusal("the file is empty")
    header, at = [_bare(title) for title in titles], f"line {line} (header)"
    if missing := [name for name in required if _bare(name) not in header]:
        found = plain(", ".join(title.strip() for title in titles), longest=200)
        raise file.refusal(f"missing column {', '.join(missing)}; found {found}", at=at)
    if twice := next((title for title, bare in zip(titles, header, strict=True) if bare and header.count(bare) > 1), ""):
        raise file.refusal(f"the column {plain(twice.strip())} stands twice", at=at, advice="Rename or delete one of the two.")
    places = {name: header.index(_bare(name)) if _bare(name) in header else len(header) for name in names}
    return Table(_rows(numbered, places, width=len(header)), remarks)


def records(file: TextFile, text: str, *, names: Iterable[str] = ()) -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which a record begins, and its cells. `names` are the columns to expect.

    Raises the file's error at a record that is not CSV.
    """
    csv.field_size_limit(2**31 - 1)
    begin, stated = 1, SEPARATOR_LINE.match(text)
    if stated:
        text, begin = text[stated.end() :], 1 + sum(1 for _ in lines(stated[0]))
    reader = csv.reader(lines(text), delimiter=stated[1] if stated else _separator(text, names), strict=True)
    line = begin
    try:
        for cells in reader:
            yield line, cells
            line = begin + reader.line_num
    except csv.Error as error:
        advice = "Put the cell into quotes and double the quotes inside it, or export the file again."
        raise file.refusal(f"not CSV ({error})", at=f"line {line}", advice=advice) from None


def emptied(cell: str) -> str:
    """Return the cell as it stands, or "" when it holds a placeholder or nothing that can be seen."""
    return "" if is_blank(cell) or PLACEHOLDER.fullmatch(cell.strip()) else cell


def flaw_of(text: str) -> Flaw | None:
    """Return the flaw of a text that can't be sent or stored, because of a control character or bytes that are no character."""
    if not (found := NO_TEXT.search(text)):
        return None
    if found[0] >= "\ud800":
        return Flaw("not_text", "holds bytes that are no character of the file's encoding, or half a character (a lone surrogate)")
    return Flaw("control_character", f"holds the control character U+{ord(found[0]):04X}")


def lines(text: str) -> Iterable[str]:
    """Return the lines of `text`, each with its own end."""
    return io.StringIO(text, newline="")


def is_blank_record(cells: Iterable[str]) -> bool:
    """Whether a record holds nothing that can be seen, separators aside."""
    return all(is_blank(cell.strip(SEPARATORS)) for cell in cells)


def _rows(numbered: Iterable[tuple[int, tuple[int, list[str]]]], places: dict[str, int], *, width: int) -> Iterator[Row]:
    with_text = ((sheet_row, line, cells) for sheet_row, (line, cells) in numbered if any(cell.strip() for cell in cells))
    for number, (sheet_row, line, cells) in enumerate(with_text, start=1):
        used = {name: emptied(cells[place]) if place < min(width, len(cells)) else "" for name, place in places.items()}
        flaw = next((Flaw(found.reason, f"{name}: {found.detail}") for name, cell in used.items() if (found := flaw_of(cell))), None)
        if (surplus := len(cells) - width) > 0:
            flaw = Flaw("surplus_cells", f"more cells than columns (by {surplus}): put a cell that holds the separator into quotes")
        yield Row(number, sheet_row, line, used, flaw)


def _separator(text: str, names: Iterable[str]) -> str:
    """Return the separator that gives the most of the expected columns, or else the most columns, or else the comma."""
    expected, head = {_bare(name) for name in names}, list(islice(lines(text), HEADER_LINES))

    def columns(separator: str) -> tuple[int, int]:
        header = next((cells for cells in csv.reader(head, delimiter=separator) if not is_blank_record(cells)), [])
        return len(expected & {_bare(cell) for cell in header}), len(header)

    return max(SEPARATORS, key=columns)


def _bare(name: str) -> str:
    return name.strip(" \t\r\n\xa0\u200b\ufeff").casefold()
