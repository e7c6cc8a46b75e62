"""Errors that are shown as one line instead of a traceback, and texts as they may be shown to a person."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

LONGEST_QUOTE = 300  # characters of foreign text in one message
SHORTEST_SECRET = 8  # shorter "keys" are placeholders such as `none`, and would cut holes into ordinary words
REMOVED = "[key removed]"
# C0, C1, the line separators, and the marks that turn the direction of what follows: a terminal obeys them, or shows another text.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")  # letters and marks by their category, but nothing to see
LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def counted(count: int, noun: str, *, plural: str = "") -> str:
    """Return "1 sample" or "1,000 samples"."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


class KitError(Exception):
    """Says where, what, and what to do next. Everything else that is raised is a bug."""

    exit_code = 1  # of a command that ends in this error


def plain(text: object, *, secrets: Iterable[str] = (), longest: int = LONGEST_QUOTE) -> str:
    """Return foreign text as one line that may be shown and stored.

    Secrets, control characters and lone surrogates are taken out, and what is longer than `longest` characters ends in "…".
    """
    line = " ".join(CONTROL.sub(" ", without_secrets(str(text), secrets)).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return `text` with every secret replaced by a remark, and lone surrogates by U+FFFD, so that it can be stored as UTF-8."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, REMOVED)
            if "\\u" in text:
                text = _escaped(secret).sub(REMOVED, text)
    return LONE_SURROGATE.sub("\ufffd", text)


@lru_cache(maxsize=16)
def _escaped(secret: str) -> re.Pattern[str]:
    """Return what finds `secret` in JSON, where any of its characters may stand as an escape."""
    return re.compile("".join(rf"(?:{re.escape(letter)}|\\u(?i:{ord(letter):04x}))" for letter in secret))


def is_blank(text: str) -> bool:
    """Whether `text` holds nothing that can be seen, only white space, control, format and filler characters."""
    return all(_is_invisible(character) for character in text)


def _is_invisible(character: str) -> bool:
    is_variation_selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    blank = character.isspace() or character in BLANK_LETTERS or is_variation_selector
    return blank or unicodedata.category(character) in ("Cc", "Cf", "Zs", "Zl", "Zp")
