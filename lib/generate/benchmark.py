"""A benchmark file -> its eight-word sequences, of which a sample may share only a few.

The file may be a CSV with any of the usual separators, JSON, JSON Lines or plain text. Every text in it counts, in every column and row and
under every key. A file without a single sequence is refused, because nothing would be compared with it. Source: n-gram overlap, PaLM (arXiv
2204.02311, section 8).
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
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
    sequences: frozenset[int] = frozenset()  # hashes
    rows: int = 0  # rows with the header, JSON records or paragraphs
    remarks: tuple[str, ...] = ()


def read_benchmark(path: Path) -> Benchmark:
    """Read the file. Raises BenchmarkError when it can't be read, or holds no sequence."""
    file = TextFile(path, "benchmark_csv", BenchmarkError)
    text, remarks = text_of(file, read_bytes(file))
    sequences: set[int] = set()
    rows = short = damaged = 0
    for texts in _rows(file, text):
        of_row = [sequence for one in texts for sequence in word_sequences(one)]
        sequences.update(of_row)
        rows, short, damaged = rows + 1, short + (not of_row), damaged + any(map(LONE_SURROGATE.search, texts))
    if not sequences:
        raise file.refusal(f"no text in it has {SEQUENCE} words in a row, so that nothing can be compared with it", advice=ADVICE)
    name = plain(path.name)
    counts = [f"Samples were compared with {name} (rows: {rows:,}, different sequences of {SEQUENCE} words: {len(sequences):,})."]
    if short:
        counts.append(f"{name}: rows without {SEQUENCE} words in a row, which can't be compared: {short:,}.")
    if damaged:
        counts.append(f"{name}: rows with bytes that are no text, around which words can't be compared: {damaged:,}.")
    return Benchmark(frozenset(sequences), rows, (*remarks, *counts))


@lru_cache(maxsize=64)  # several gates compare the same few texts of a sample
def word_sequences(text: str) -> tuple[int, ...]:
    """Return a hash of every eight words in a row. `words` defines what a word is."""
    in_order = words(text)
    return tuple(map(hash, zip(*(in_order[start:] for start in range(SEQUENCE)), strict=False)))


def _rows(file: TextFile, text: str) -> Iterable[list[str]]:
    """Return the texts of each row. A table's header is a row too, because a file may have none."""
    suffix, first = file.path.suffix.lower(), next((line for line in lines(text) if line.strip()), "")
    if suffix in JSON_SUFFIXES or any(isinstance(_parsed(start), dict | list) for start in (first, text)):
        return map(_texts, _json_rows(file, text))
    if suffix not in TABLE_SUFFIXES:
        return ([paragraph] for paragraph in BLANK_LINE.split(text) if paragraph.strip())
    rows = [cells for _, cells in records(file, text) if not is_blank_record(cells)]
    is_ragged = len(set(map(len, rows))) > 1  # quotes may be missing, so that a text may be spread over cells
    return ([*cells, ", ".join(cells)] if is_ragged else cells for cells in rows)


def _json_rows(file: TextFile, text: str) -> list[Any]:
    """Return the entries of a list, of all lists in an object, or of JSON Lines."""
    if isinstance(whole := _parsed(text), list):
        return whole
    if isinstance(whole, dict):
        rest = {key: value for key, value in whole.items() if not isinstance(value, list)}
        return [row for value in whole.values() if isinstance(value, list) for row in value] + ([rest] if rest else [])
    rows = [(number, _parsed(line)) for number, line in enumerate(lines(text), start=1) if line.strip()]
    if broken := next((number for number, row in rows if row is None), 0):
        raise file.refusal("not JSON, as the lines before it are, or as its name says", at=f"line {broken}", advice=ADVICE)
    return [row for _, row in rows]


def _parsed(text: str) -> Any:
    """Return the value, or None when `text` is not JSON."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


def _texts(value: Any) -> list[str]:
    """Return every text in a JSON value, keys too, because some files have the question as a key."""
    texts, left = [], [value]
    while left:
        match left.pop():
            case str(text):
                texts.append(text)
            case dict(entries):
                left += [*entries, *entries.values()]
            case list(entries):
                left += entries
    return texts
