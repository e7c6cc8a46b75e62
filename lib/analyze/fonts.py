"""The characters of a figure's labels -> installed fonts that have them. A character that no font has is drawn as a box.

Other fonts than matplotlib's own are opened only when it lacks a character, because opening all of them takes a second or more.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING
from unicodedata import category, name

from lib.errors import is_blank

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry

OWN = "DejaVu Sans"  # comes with matplotlib
BOX = "□"
WEIGHTS = ("normal", "bold")  # that the figures use
# Matplotlib brings these along. They hold boxes for all characters, or formulas under the numbers of other characters.
NOT_FOR_TEXT = ("Last Resort", "STIXNonUnicode", "STIXSize", "cm")


def families(texts: Iterable[str]) -> list[str]:
    """Return the font families that together have the characters of `texts`, matplotlib's own first."""
    found = map(family_with, dict.fromkeys("".join(texts)))
    return list(dict.fromkeys([OWN, *filter(None, found)]))


def drawable(text: str) -> str:
    """Return `text` with a box for each character that no font has, and without those of them that can't be seen anyway."""
    return "".join(character if family_with(character) else _box_for(character) for character in text)


@cache
def family_with(character: str) -> str | None:
    """Return the first installed family that has `character`, matplotlib's own before all others, or None.

    Registers the font in matplotlib for regular and bold text, because matplotlib would log a line for each weight that it lacks.
    """
    from matplotlib.font_manager import findfont, fontManager

    if character == "\n" or ord(character) in _characters(findfont(OWN)):
        return OWN
    if not (font := next((font for font in _installed() if ord(character) in _characters(font.fname)), None)):
        return None
    known = fontManager.ttflist
    known += [entry for weight in WEIGHTS if (entry := replace(font, weight=weight)) not in known]
    return font.name


def _box_for(character: str) -> str:
    if is_blank(character):
        return ""
    _warn_of("emoji or symbol" if category(character)[0] == "S" else name(character, "unnamed").split()[0])
    return BOX


@cache  # once for each script
def _warn_of(script: str) -> None:
    text = "No installed font has some %s characters of the labels: the figures show %s instead. Install a font that has them, as of Noto."
    logging.getLogger(__name__).warning(text, script, BOX)


def _installed() -> "list[FontEntry]":
    """Return all upright fonts, the machine's own before those that matplotlib brings along, and regular weights first."""
    from matplotlib.font_manager import fontManager

    upright = [font for font in fontManager.ttflist if font.style == "normal" and not font.name.startswith((OWN, *NOT_FOR_TEXT))]
    return sorted(upright, key=lambda font: ("mpl-data" in font.fname, font.weight not in (400, "normal"), font.name, font.fname))


@cache
def _characters(path: str) -> frozenset[int]:
    """Return the characters that matplotlib can draw from a font, of a bitmap font none."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        return frozenset(font.get_charmap() if font.scalable else ())
    except (OSError, RuntimeError):  # gone since matplotlib looked, or of a kind that it can't read
        return frozenset()
