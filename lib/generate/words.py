"""A text -> the words by which two texts are compared, so that neither typography nor markup hides a copy.

A word is a run of letters and digits, or one character of a script that is written without blanks. An operator belongs to the word after
it, so that `a == b` and `a != b` differ. Case, punctuation, white space, emphasis, invisible characters and the spelling of accents do not
count. Source of the normal form: Unicode Standard Annex 15, NFKC. Limit: letters of Latin and Cyrillic that look alike stay different.
"""

import re
from functools import cache, lru_cache
from unicodedata import category, normalize

from lib.errors import is_blank

BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
COMBINING = ("\u0300", "\u036f")  # the first and the last accent that NFKC may leave beside its letter
MARK = "\x01"  # put before an operator beyond ASCII
SPELLINGS = {"≤": "<=", "≥": ">=", "≠": "!=", "\u2212": f"{MARK}-"}
# Thai, Lao and Tibetan, Burmese, Khmer, Tai scripts, kana, bopomofo, Han ideographs, Yi.
WITHOUT_BLANKS = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u2e80-\u312f\u31a0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\ua000-\ua4cf\ua9e0-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
MARKUP = re.compile(r"</?(?:b|i|u|s|em|strong|del|ins|mark|small|sub|sup|br|p|span|code)\b[^<>]*>")
# "-", "/" and "*" are operators between digits, brackets and single letters. Elsewhere they are hyphens, dashes and emphasis.
BETWEEN = (
    r"[-/*](?:(?<=[\d)\]}][-/*])|(?<=[\d)\]}] [-/*])|(?<=\b[a-z][-/*])|(?<=\b[a-z] [-/*]))(?<!\*\w\*)(?= ?(?:[\d(\\]|[a-z]\b))"
    r"|-(?<![\w-]-)(?=\d)"
)
# A line of "=" underlines a heading, and ">" at the beginning of a line marks a quotation.
OPERATOR = rf"[-=]+>|[!<>]=+|(?<!=)={{1,3}}(?!=)|[<+^]|&&?|\|\||!(?=[a-z(])|(?<=[^\n>])>+|{BETWEEN}"
WORD = re.compile(rf"[a-z0-9\x80-\U0010ffff]+|{OPERATOR}|{MARK}(?:-|[^\x00-\x7f])")
OPERATOR_STARTS = frozenset(f"-=!<>+^&|/*{MARK}")


@lru_cache(maxsize=64)  # every gate compares the same few texts of a sample
def words(text: str) -> tuple[str, ...]:
    """Return the words of `text` in its order."""
    folded = text.lower()
    if not text.isascii():
        folded = BEYOND_ASCII.sub(lambda found: _replacement(found[0]), normalize("NFKC", text).casefold())
    if "<" in folded:
        folded = MARKUP.sub(" ", folded)
    found, operators = [], ""
    for piece in WORD.findall(folded):
        if piece[0] in OPERATOR_STARTS:
            operators += piece.lstrip(MARK)
        else:
            found.append(operators + piece if operators else piece)
            operators = ""
    return (*found, operators) if operators else tuple(found)


@cache
def _replacement(character: str) -> str:
    """Return what stands for a normalized character beyond ASCII while words are looked for."""
    kind = category(character)
    if kind[0] == "Z" or kind == "Cc":
        return " "
    if is_blank(character) or COMBINING[0] <= character <= COMBINING[1]:
        return ""
    if kind == "Sm":
        return f" {SPELLINGS.get(character, MARK + character)} "
    if kind[0] not in "LNM":
        return " "
    return f" {character} " if WITHOUT_BLANKS.match(character) else character
