"""a quote and the text it is said to come from -> whether it stands there, whatever copying did to it.

White space, case, kinds of quotes and dashes, Markdown, the marks of formulas, invisible characters and the spelling of accents do not
count. The pieces around an ellipsis are looked up one after another.
"""

import re
from functools import lru_cache
from unicodedata import category, normalize

from lib.generate.words import words

ALIKE = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'", "‹": "<", "–": "-", "—": "-", "−": "-", "‐": "-"})
LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
LINE_MARK = re.compile(r"^[ \t]*(?:[-*+]|>+|#{1,6})[ \t]+", re.MULTILINE)
LATEX_SPACE = re.compile(r"\\[,;:! ]|~|\\quad")
FORMULA_MARK = re.compile(r"\\[()\[\]]|\$+")
ESCAPE = re.compile(r"\\(?=[%&#_*{}`|])")
# Around a word, or doubled between letters; not the operator of `2 * 3`, not the one of `2*3`, not within snake_case.
EMPHASIS = re.compile(r"`+|(?<![^\W_])[*_]+(?=\S)|(?<=\S)[*_]+(?![^\W_])|(?<=[^\W\d_])\*\*(?=[^\W\d_])")
ELLIPSIS = re.compile(r"[\[(<]?\.(?: ?\.){2,}[\])>]?")
EDGES = "\"' ."
FEWEST_WORDS = 3  # in the pieces around an ellipsis that have two or more: single words could be picked from any text


def quote_found(quote: str, text: str) -> bool | None:
    """Return whether `quote` stands in `text`; None when nothing is quoted."""
    pieces = [piece for piece in (piece.strip(EDGES) for piece in ELLIPSIS.split(_plain(quote))) if piece]
    if not pieces:
        return None
    searched = _plain(text)
    if len(pieces) == 1:
        return pieces[0] in searched
    counts = [len(words(piece)) for piece in pieces]
    return sum(count for count in counts if count > 1) >= FEWEST_WORDS and _in_order(pieces, searched)


def _in_order(pieces: list[str], text: str) -> bool:
    """Whether each piece stands in `text` after the one before, and does not begin or end inside a word."""
    end = 0
    for piece in pieces:
        start = text.find(piece, end)
        while start >= 0 and (_within(text, start) or _within(text, start + len(piece))):
            start = text.find(piece, start + 1)
        if start < 0:
            return False
        end = start + len(piece)
    return True


def _within(text: str, place: int) -> bool:
    """Whether the characters on both sides of `place` belong to one word."""
    around = text[max(0, place - 1) : place + 1] if place else ""
    return len(around) == 2 and around.isalnum() and len(words(around)) == 1


@lru_cache(maxsize=8)  # the quotes of one response are looked up one after another
def _plain(text: str) -> str:
    seen = text
    if not text.isascii():
        seen = "".join(character for character in normalize("NFKC", text) if character.isascii() or category(character) != "Cf")
    unmarked = LINE_MARK.sub("", LINK.sub(r"\1", seen.translate(ALIKE)))
    unmarked = ESCAPE.sub("", FORMULA_MARK.sub("", LATEX_SPACE.sub(" ", unmarked)))
    return " ".join(EMPHASIS.sub("", unmarked).split()).casefold()
