"""A file that a person names in a setting -> its text, or one error that says what the file is.

A file without a byte order mark is UTF-8 when all of it can be read as UTF-8. It is still UTF-8 when a single byte can't be read, or when
it has three UTF-8 characters beyond ASCII for each such stray byte. A text in GBK has nine stray bytes for each such character. A stray
byte becomes a lone surrogate, so that its row can be set aside.

Any other file is Windows-1252 when its accents and symbols stand where Western languages write them. Texts in GBK, Windows-1251, Mac Roman
and the like break these rules within a few words and are refused. Limit: a text with very few characters beyond ASCII may pass.
"""

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from lib.errors import KitError, plain

UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
CONTROL_BYTES = bytes({*range(0x20), 0x7F} - set(b"\t\n\r\f\x1a"))
MOST_CONTROL = 0.05  # share of control characters among the first ones, where a text has hardly any
PROBE = 65_536  # bytes
SIGNATURES = {
    b"PK\x03\x04": "an .xlsx workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file",
    b"{\\rtf": "RTF",
}
MARKUP = re.compile(rb"<!--|<[!?/]?[a-z][^<>]{0,500}>", re.IGNORECASE)  # at the beginning of a web page or XML file
FEWEST_FOR_A_STRAY = 3  # other characters beyond ASCII for each stray byte
ALL_BUT_ASCII = bytes(range(0x80, 0x100))
# Letters that are common in Western Europe. š, ž, ð, þ and ÿ are not, and show that the encoding is another.
SMALL, CAPITAL = "ß-ïñ-öø-ýœ", "À-ÏÑ-ÖØ-ÝŒ"
ACCENTED, LETTER = SMALL + CAPITAL, "A-Za-z" + SMALL + CAPITAL
IN_WORDS = "’‘´–—…·×÷±¹²³\xad"  # symbols that may stand between two letters
NOT_WESTERN = re.compile(
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
            "â€|[ÃÂ][^\x00-\x7f]",  # UTF-8 that was read as Windows-1252
            "[^\x00-\x7f]{5}",
        )
    )
)


@dataclass(frozen=True, slots=True)
class TextFile:
    path: Path
    setting: str  # that names the file
    error: type[KitError]  # the class of the errors about the file

    def refusal(self, problem: str, *, at: str = "", advice: str = "") -> KitError:
        """Return the error to raise. `at` is the place in the file, as "row 3", and `advice` is a sentence."""
        advice = advice or f"Export it as CSV in UTF-8 and name it in {self.setting}."
        return self.error(f"{self.path}{', ' if at else ''}{at}: {problem}. {advice}")


def read_bytes(file: TextFile) -> bytes:
    """Return the content of the file. Raises the file's error when there is none, or none that can be text."""
    try:
        raw = file.path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        problem = f"can't be read ({plain(getattr(error, 'strerror', None) or error)})"
        how = f"Set {file.setting} ({file.setting.upper()}='…' with make) to a readable file; blanks in the path are fine."
        raise file.refusal(problem, advice=how) from None
    if not raw.strip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"):
        raise file.refusal("the file is empty")
    start = raw[:PROBE].removeprefix(codecs.BOM_UTF8).lstrip()
    if kind := next((kind for signature, kind in SIGNATURES.items() if start.startswith(signature)), ""):
        raise file.refusal(f"not a text file ({kind})")
    if MARKUP.match(start):
        raise file.refusal("a web page or XML file, not a table")
    return raw


def text_of(file: TextFile, raw: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the text and remarks on its encoding. Raises the file's error when it is no text or its encoding is not certain."""
    head = raw[:PROBE]
    if not raw.startswith(UTF_16_MARKS) and 1 - len(head.translate(None, delete=CONTROL_BYTES)) / len(head) > MOST_CONTROL:
        raise file.refusal("not a text file")
    text, encoding = decoded(raw)
    if not encoding:
        raise file.refusal("the text is neither UTF-8 nor UTF-16 nor surely Windows-1252, so that it can't be read without guessing")
    if encoding != "Windows-1252":
        return text.lstrip("\ufeff"), ()
    name = plain(file.path.name)
    return text, (f"{name} is not UTF-8 and was read as Windows-1252: check its accents and quotation marks, or save it as UTF-8.",)


def decoded(raw: bytes) -> tuple[str, str]:
    """Return the text without its byte order mark, and the name of its encoding, which is "" when it is uncertain."""
    if raw.startswith(UTF_16_MARKS):
        name = "utf-16-le" if raw.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
        odd = len(raw) % 2  # half of a character is missing at the end
        return raw[2 : len(raw) - odd].decode(name, "surrogatepass") + "\udc80" * odd, "UTF-16"
    text = raw.decode("utf-8-sig", "surrogateescape")
    sound = len(raw.decode("utf-8-sig", "ignore"))
    strays, beyond_ascii = len(text) - sound, sound - len(raw.translate(None, delete=ALL_BUT_ASCII))
    if raw.startswith(codecs.BOM_UTF8) or beyond_ascii >= FEWEST_FOR_A_STRAY * strays:
        return text, "UTF-8"
    if _is_windows_1252(raw):
        return raw.decode("cp1252"), "Windows-1252"
    return text, "UTF-8" if strays == 1 else ""


def _is_windows_1252(raw: bytes) -> bool:
    try:
        text = raw.decode("cp1252")
    except UnicodeDecodeError:  # five bytes mean nothing in it
        return False
    words = {word for line in text.splitlines() if not line.isascii() for word in line.split() if not word.isascii()}
    return not any(map(NOT_WESTERN.search, words))
