"""Split the bytes of a JSONL file into lines, and read the JSON object on a line or the flaw that prevents it.

Stricter than `json.loads`, because a key stands once, numbers are finite and text can be encoded. Sources are RFC 8259 and jsonlines.org.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

Flaw = tuple[str, str]  # code, and a message that says what is wrong and what to do

_WARNINGS = "no_final_newline line_separator control_character control_token last_not_assistant duplicate too_many_tools arguments_not_json"
WARNINGS = frozenset(_WARNINGS.split())  # all other codes are errors
MAX_LINE_BYTES = 16_000_000  # 65,536 tokens are some 300,000 characters, and without a limit one endless line would fill the memory
MAX_DEPTH = 64  # containers in containers, because far deeper ones could not be written into a report
MAX_QUOTED = 60  # characters
TOO_DEEP: Flaw = ("too_deep", f"The line is nested more than {MAX_DEPTH} levels deep: make it flatter.")
BOM = b"\xef\xbb\xbf"
LINE_SEPARATOR = re.compile(rb"\xe2\x80[\xa8\xa9]|\xc2\x85")  # U+2028, U+2029 and U+0085 as UTF-8


class NoObject(Exception):
    """Raised when a line is not a JSON object. Its arguments are a flaw's code and message."""


def has_error(flaws: Collection[Flaw]) -> bool:
    return any(code not in WARNINGS for code, _ in flaws)


def quoted(value: Any) -> str:
    """Return `value` for use in a message, on one line, with control characters escaped, cut to `MAX_QUOTED` characters."""
    text = value if isinstance(value, str) else repr(value)
    cut = text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"
    return repr(cut) if text is value else cut


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield each line with its end. Of a line that is too long, yield only the beginning."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        piece = line
        while len(line) > MAX_LINE_BYTES and not piece.endswith(b"\n") and (piece := file.readline(MAX_LINE_BYTES)):
            pass
        yield line


def form_flaws(line: bytes) -> Iterator[Flaw]:
    """Yield the flaws of a line's bytes that do not prevent its reading."""
    if line.startswith(BOM):
        yield "bom", "The line begins with a byte order mark: save the file as UTF-8 without BOM."
    if b"\r" in line:
        yield "crlf", r"The line holds a carriage return: end lines with \n alone (dos2unix does it)."
    if LINE_SEPARATOR.search(line):
        yield "line_separator", r"The line holds U+2028, U+2029 or U+0085, where some readers end it: write \u2028, \u2029 or \u0085."
    if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
        yield "no_final_newline", "The last line has no newline: add one, or what is appended later joins this line."


def json_object(line: bytes) -> dict[str, Any]:
    """Return the JSON object of `line`. Raises NoObject."""
    if len(line) > MAX_LINE_BYTES:
        raise NoObject("line_too_long", f"The line is longer than {MAX_LINE_BYTES / 1e6:.0f} MB: put each example on its own line.")
    if not line.strip():
        raise NoObject("blank_line", "The line is blank: remove it.")
    try:
        value = _DECODER.decode(line.removeprefix(BOM).decode("utf-8"))
        if rb"\ud" in line.lower():  # the escape of a surrogate
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise NoObject("not_utf8", f"Byte {error.start + 1} of the line is not UTF-8: save the file as UTF-8.") from None
    except UnicodeEncodeError:
        raise NoObject("lone_surrogate", r"An escape \ud800 to \udfff stands without its other half: write the character itself.") from None
    except RecursionError:
        raise NoObject(*TOO_DEEP) from None
    except ValueError as error:
        reason = f"{error.msg}, character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else error
        raise NoObject("not_json", f"The line is not JSON ({reason}): write one whole JSON object on each line.") from None
    if _is_deeper(value, MAX_DEPTH):
        raise NoObject(*TOO_DEEP)
    if not isinstance(value, dict):
        raise NoObject("not_object", f'The line is {quoted(value)}, not an object: write {{"messages": …}} on each line.')
    return value


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entry = dict(pairs)
    if len(entry) < len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise NoObject("duplicate_key", f"The key {quoted(twice)} stands twice in one object: keep one.")
    return entry


def _finite(number: str) -> float:
    if not math.isfinite(float(number)):
        raise NoObject("not_finite", f"{quoted(number)} is not a finite number: JSON has no NaN and no Infinity, use null.")
    return float(number)


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct_keys, parse_float=_finite, parse_constant=_finite)


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether more than `levels` containers are nested in each other."""
    if not isinstance(value, dict | list):
        return False
    return levels == 0 or any(_is_deeper(child, levels - 1) for child in (value.values() if isinstance(value, dict) else value))
