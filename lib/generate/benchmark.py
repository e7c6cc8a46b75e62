"""A benchmark file -> its eight-word sequences, which no sample may share too many of.

The file may be a CSV with any of the usual separators, JSON, JSON Lines or plain text. Every text in it counts, whatever its column or key,
and no row is left out. A file without a single sequence is refused, because nothing would be compared with it. Source: n-gram overlap,
PaLM (arXiv 2204.02311, section 8).
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.errors import KitError, plain
from lib.generate.tabular import is_blank_record, lines, records
from lib.generate.text_file import TextFile, read_bytes, text_of
from lib.generate.words import words

SEQUENCE = 8  # words
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".psv")
BLANK_LINE = re.compile(r"(?:\r\n?|\n)[ \t]*(?:\r\n?|\n)")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
ADVICE = "Name a CSV, JSON Lines or text file in benchmark_csv, or leave it empty."


class BenchmarkError(KitError):
    """The benchmark file can't be used."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Hashes of the sequences, and the number of rows (header included), JSON records or paragraphs they come from."""

    sequences: frozenset[int] = frozenset()
    rows: int = 0
    remarks: tuple[str, ...] = ()


def read_benchmark(path: Path) -> Benchmark:
    """Read the file. Raises BenchmarkError when it can't be read, or holds no sequence."""
    file = TextFile(path, "benchmark_csv", BenchmarkError)
    text, remarks = text_of(file, read_bytes(file))
    sequences: set[int] = set()
    rows = short = damaged = 0
    for texts in _rows(file, text):
        found = [sequence for one in texts for sequence in word_sequences(one)]
        sequences.update(found)
        rows, short, damaged = rows + 1, short + (not found), damaged + any(map(LONE_SURROGATE.search, texts))
    if not sequences:
        raise file.refusal(f"no text in it has {SEQUENCE} words in a row, so that nothing can be compared with it", advice=ADVICE)
    name = plain(path.name)
    content = [f"Samples were compared with {name} (rows: {rows:,}, different sequences of {SEQUENCE} words: {len(sequences):,})."]
    if short:
        content.append(f"{name}: rows without {SEQUENCE} words in a row, which can't be compared: {short:,}.")
    if damaged:
        content.append(f"{name}: rows with bytes that are no text, around which words can't be compared: {damaged:,}.")
    return Benchmark(frozenset(sequences), rows, (*remarks, *content))


def word_sequences(text: str) -> Iterator[int]:
    """Yield a hash of every eight words in a row; see `words` for what does not count."""
    in_order = words(text)
    yield from map(hash, zip(*(in_order[start:] for start in range(SEQUENCE)), strict=False))


def _rows(file: TextFile, text: str) -> Iterator[list[str]]:
    suffix = file.path.suffix.lower()
    if suffix in JSON_SUFFIXES or _begins_with_json(text):
        return map(_texts, _json_rows(file, text))
    if suffix in TABLE_SUFFIXES:
        return _table_rows(file, text)
    return ([paragraph] for paragraph in BLANK_LINE.split(text) if paragraph.strip())


def _table_rows(file: TextFile, text: str) -> Iterator[list[str]]:
    """Yield the cells of each record, the header too, because it may be a row.

    Where records differ in width, quotes may be missing. Then each record is yielded as one text as well.
    """
    ragged = len({len(cells) for _, cells in records(file, text) if not is_blank_record(cells)}) > 1
    for _, cells in records(file, text):
        if not is_blank_record(cells):
            yield [*cells, ", ".join(cells)] if ragged else cells


def _begins_with_json(text: str) -> bool:
    """Whether the whole text, or its first line, is a JSON object or list."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    first = next(line for line in lines(text) if line.strip())
    return any(isinstance(_parsed(candidate), dict | list) for candidate in (first, text))


def _json_rows(file: TextFile, text: str) -> list[Any]:
    if isinstance(whole := _parsed(text), list):
        return whole
    if isinstance(whole, dict):
        listed = [row for value in whole.values() if isinstance(value, list) for row in value]
        return [*listed, *([rest] if (rest := {key: value for key, value in whole.items() if not isinstance(value, list)}) else [])]
    rows = []
    for number, line in enumerate(lines(text), start=1):
        if line.strip():
            rows.append(_parsed(line))
            if rows[-1] is None:
                raise file.refusal("not JSON, as the lines before it are, or as its name says", at=f"line {number}", advice=ADVICE)
    return rows


def _parsed(text: str) -> Any:
    """Return the value, or None when `text` is no JSON."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _texts(value: Any) -> list[str]:
    """Return every text in a JSON value, keys too: some files have the question for a key."""
    found, left = [], [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict):
            left += [*one, *one.values()]
        elif isinstance(one, list):
            left += one
    return found
