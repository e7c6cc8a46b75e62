"""A quote and the text that it is taken from -> whether the quote stands in the text.

White space, case, kinds of quotes and dashes, Markdown, the marks of formulas, invisible characters and the spelling of accents do not
count. Of a quote with an ellipsis, each piece is looked up after the one before.
"""

import re
from functools import lru_cache
from unicodedata import category, normalize

from lib.generate.words import words

ALIKE = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "‹": "<", "–": "-", "—": "-", "−": "-", "‐": "-"})
# Around a word, or doubled between letters. The operator of `2 * 3` or `2*3` is no emphasis, and neither is the one of snake_case.
EMPHASIS = r"`+|(?<![^\W_])[*_]+(?=\S)|(?<=\S)[*_]+(?![^\W_])|(?<=[^\W\d_])\*\*(?=[^\W\d_])"
UNMARKED = [  # replaced in this order
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),  # links
    (re.compile(r"^[ \t]*(?:[-*+]|>+|#{1,6})[ \t]+", re.MULTILINE), ""),  # bullets, quotations, headings
    (re.compile(r"\\[,;:! ]|~|\\quad"), " "),  # spaces of LaTeX
    (re.compile(r"\\[()\[\]]|\$+"), ""),  # formulas
    (re.compile(r"\\(?=[%&#_*{}`|])"), ""),  # escapes
    (re.compile(EMPHASIS), ""),
]
ELLIPSIS = re.compile(r"[\[(<]?\.(?: ?\.){2,}[\])>]?")
EDGES = "\"' ."
FEWEST_WORDS = 3  # in the pieces of two or more words, because single words could be picked from any text


def quote_found(quote: str, text: str) -> bool | None:
    """Return whether `quote` stands in `text`, or None when nothing is quoted."""
    pieces = [piece for part in ELLIPSIS.split(_plain(quote)) if (piece := part.strip(EDGES))]
    if not pieces:
        return None
    if len(pieces) == 1:
        return pieces[0] in _plain(text)
    counts = [len(words(piece)) for piece in pieces]
    return sum(count for count in counts if count > 1) >= FEWEST_WORDS and _in_order(pieces, _plain(text))


def _in_order(pieces: list[str], text: str) -> bool:
    """Whether each piece stands in `text` after the one before, and does not begin or end inside a word."""
    end = 0
    for piece in pieces:
        start = text.find(piece, end)
        while start >= 0 and (_is_in_word(text, start) or _is_in_word(text, start + len(piece))):
            start = text.find(piece, start + 1)
        if start < 0:
            return False
        end = start + len(piece)
    return True


def _is_in_word(text: str, place: int) -> bool:
    """Whether the characters on both sides of `place` belong to one word."""
    around = text[place - 1 : place + 1] if place else ""
    return len(around) == 2 and around.isalnum() and len(words(around)) == 1


@lru_cache(maxsize=8)  # the quotes of one response are looked up one after another
def _plain(text: str) -> str:
    if not text.isascii():
        text = "".join(character for character in normalize("NFKC", text) if category(character) != "Cf")
    text = text.translate(ALIKE)
    for pattern, instead in UNMARKED:
        text = pattern.sub(instead, text)
    return " ".join(text.split()).casefold()
