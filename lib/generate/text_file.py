"""A file that a person names in a setting -> its text, or one clear error. What is no text is named for what it is."""

import re
from dataclasses import dataclass
from pathlib import Path

from lib.errors import KitError, plain
from lib.generate.encoding import UTF_16_MARKS, decoded

CONTROL_BYTES = bytes({*range(0x20), 0x7F} - set(b"\t\n\r\f\x1a"))
MOST_CONTROL = 0.05  # share of control characters among the first ones; in a text there are hardly any
PROBE = 65_536
SIGNATURES = {
    b"PK\x03\x04": "not a text file (an .xlsx workbook or a ZIP archive)",
    b"\xd0\xcf\x11\xe0": "not a text file (an old Excel or Word file)",
    b"%PDF": "not a text file (a PDF)",
    b"\x89PNG": "not a text file (a picture)",
    b"\xff\xd8\xff": "not a text file (a picture)",
    b"\x1f\x8b": "not a text file (compressed)",
    b"PAR1": "not a text file (a Parquet file)",
    b"{\\rtf": "not a plain text file (RTF)",
}
MARKUP = re.compile(rb"<!--|<[!?/]?[a-z][^<>]{0,500}>")  # at the beginning: a web page, or a part of one, or XML


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file that a person has named, the setting that names it, and the class of its errors."""

    path: Path
    setting: str
    error: type[KitError]

    def refusal(self, problem: str, *, at: str = "", advice: str = "") -> KitError:
        """Return the error to raise. `at` says where in the file, as "row 3"; `advice` is a sentence."""
        advice = advice or f"Export it as CSV in UTF-8 and name it in {self.setting}."
        return self.error(f"{self.path}{', ' if at else ''}{at}: {problem}. {advice}")


def read_bytes(file: TextFile) -> bytes:
    """Return the content of the file. Raises its error when there is none, or none that can be text."""
    try:
        raw = file.path.read_bytes()
    except FileNotFoundError:
        how = f"Set {file.setting} ({file.setting.upper()}='…' with make); blanks in the path are fine."
        raise file.refusal("no such file", advice=how) from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        problem = f"can't be read ({plain(getattr(error, 'strerror', None) or error)})"
        raise file.refusal(problem, advice=f"Set {file.setting} to a readable CSV file.") from None
    if not raw.strip(b" \t\r\n\x00\xef\xbb\xbf\xff\xfe"):
        raise file.refusal("the file is empty")
    start = raw[:PROBE].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if kind := next((kind for signature, kind in SIGNATURES.items() if start.startswith(signature.lower())), ""):
        raise file.refusal(kind)
    if MARKUP.match(start):
        raise file.refusal("a web page or XML file, not a table")
    return raw


def text_of(file: TextFile, raw: bytes) -> tuple[str, tuple[str, ...]]:
    """Return the text, and remarks on its encoding. Raises the file's error when it is no text or its encoding can't be told."""
    if not raw.startswith(UTF_16_MARKS) and _share_of_control(raw[:PROBE]) > MOST_CONTROL:
        raise file.refusal("not a text file")
    if not (found := decoded(raw)):
        raise file.refusal("the text is neither UTF-8 nor UTF-16 nor surely Windows-1252, so that it can't be read without guessing")
    if found.encoding != "Windows-1252":
        return found.text.lstrip("\ufeff"), ()
    name = plain(file.path.name)
    return found.text, (f"{name} is not UTF-8 and was read as Windows-1252: check its accents and quotation marks, or save it as UTF-8.",)


def _share_of_control(head: bytes) -> float:
    return 1 - len(head.translate(None, delete=CONTROL_BYTES)) / len(head)
