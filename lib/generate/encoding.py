"""The bytes of a text file -> its text and the name of its encoding, or nothing where the encoding can't be told.

A byte order mark decides. Without one, a file is UTF-8 when all of it can be read as UTF-8. It is also UTF-8, with damaged places, when
it holds three times as many sound UTF-8 characters beyond ASCII as stray bytes, or one stray byte in all. By chance such characters are
rare: a text in GBK holds about one for nine stray bytes, one in another encoding fewer. A stray byte becomes a lone surrogate, so that
its row can be found and set aside.

Any other file is Windows-1252 only when each character beyond ASCII stands where Western languages write it. Accented letters stand in
words, at most two in a row. No capital follows a small letter, and no symbol splits a word. Texts in GBK, Shift-JIS, Windows-1251, Mac
Roman or code page 850 break these rules within a few words. So do the letters š, ž, ð, þ and ÿ, which are rare in Western Europe and
frequent elsewhere. Limit: a file in another encoding that has very few characters beyond ASCII may pass.
"""

import codecs
import io
import re
from dataclasses import dataclass

UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SOUND_FOR_A_STRAY = 3  # characters
ALL_BUT_ASCII = bytes(range(0x80, 0x100))
SMALL, CAPITAL = "ß-ïñ-öø-ýœ", "À-ÏÑ-ÖØ-ÝŒ"
ACCENTED, LETTER = SMALL + CAPITAL, "A-Za-z" + SMALL + CAPITAL
IN_WORDS = "’‘´–—…·×÷±¹²³\xad"  # symbols that may stand between two letters
UNLIKELY = re.compile(
    "|".join(
        (
            "[¤¦¨¬¯¸ÐðÞþÿŠšŽžŸƒˆ˜†‡]",
            f"[a-z{SMALL}][{CAPITAL}]",
            f"(?<![{LETTER}])(?!À)[{CAPITAL}](?![{LETTER}])",
            f"(?<![{LETTER}'’])(?![àèéòóåæøö])[{SMALL}](?![{LETTER}])",  # the others are no words
            f"[{ACCENTED}]{{3}}",
            f"(?<![{LETTER}])[{ACCENTED}]{{2}}(?![{LETTER}])",
            f"[{LETTER}][^\x00-\x7f{LETTER}{IN_WORDS}][{LETTER}]",
            f"[{LETTER}]{{2}}[¹²³][{LETTER}]",
            rf"(?<![A-Za-z0-9)\]}}{ACCENTED}¹²³])[¹²³]",
            f"[{LETTER}0-9][‚„¡¿]|[‚„](?![{LETTER}0-9])",
            "[õÕ](?![eE])",  # ő in Windows-1250; in Portuguese an e follows
            "â€|[ÃÂ][^\x00-\x7f]",  # UTF-8 that is read as Windows-1252
            "[^\x00-\x7f]{5}",
        )
    )
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """`encoding`: "UTF-8", "UTF-16" or "Windows-1252". What can't be read in it stands in the text as lone surrogates."""

    text: str
    encoding: str


def decoded(raw: bytes) -> Decoded | None:
    """Return the text of `raw`, without its byte order mark, or None when the encoding can't be told."""
    if raw.startswith(UTF_16_MARKS):
        return Decoded(_utf_16(raw), "UTF-16")
    try:
        return Decoded(raw.decode("utf-8-sig"), "UTF-8")
    except UnicodeDecodeError:
        text = raw.decode("utf-8-sig", "surrogateescape")
    without_strays = len(raw.decode("utf-8-sig", "ignore"))
    strays, sound = len(text) - without_strays, without_strays - len(raw.translate(None, delete=ALL_BUT_ASCII))
    if raw.startswith(codecs.BOM_UTF8) or sound >= SOUND_FOR_A_STRAY * strays:
        return Decoded(text, "UTF-8")
    if _is_windows_1252(raw):
        return Decoded(raw.decode("cp1252"), "Windows-1252")
    return Decoded(text, "UTF-8") if strays == 1 else None


def _utf_16(raw: bytes) -> str:
    """Return the text, with a lone surrogate at its end when half of a code unit is missing there."""
    whole = len(raw) - len(raw) % 2
    name = "utf-16-le" if raw.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    return raw[2:whole].decode(name, "surrogatepass") + "\udc80" * (len(raw) % 2)


def _is_windows_1252(raw: bytes) -> bool:
    seen: set[str] = set()
    for line in io.BytesIO(raw):
        if line.isascii():
            continue
        try:
            words = {word for word in line.decode("cp1252").split() if not word.isascii()} - seen
        except UnicodeDecodeError:  # five bytes mean nothing in it
            return False
        if any(UNLIKELY.search(word) for word in words):
            return False
        seen |= words
    return True
