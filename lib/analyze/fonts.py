"""characters of a figure's labels -> installed fonts that have them, beside matplotlib's own; what no font has is drawn as a box.

Fonts are opened only when a character is not in matplotlib's own font, since opening all of a machine takes a second or more.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING
from unicodedata import category, name

from lib.schema import is_blank

if TYPE_CHECKING:
    from matplotlib.font_manager import FontEntry

OWN = "DejaVu Sans"  # comes with matplotlib
BOX = "□"
WEIGHTS = ("normal", "bold")  # that the figures use
# Boxes for all characters; formulas only, under other characters' numbers. Matplotlib brings these along.
NOT_FOR_TEXT = ("Last Resort", "STIXNonUnicode", "STIXSize", "cm")


def families(texts: Iterable[str]) -> list[str]:
    """Return the font families that together have the characters of `texts`, matplotlib's own first."""
    found = (family_with(character) for character in dict.fromkeys("".join(texts)))
    return list(dict.fromkeys([OWN, *filter(None, found)]))


def drawable(text: str) -> str:
    """Return `text` with a box for each character that no font has; what can't be seen anyway is left out."""
    return "".join(character if family_with(character) else _box_for(character) for character in text)


@cache
def family_with(character: str) -> str | None:
    """Return the first installed family that has `character`, matplotlib's own before all others; None when there is none."""
    if character == "\n" or ord(character) in _characters(_own_path()):
        return OWN
    found = next((font for font in _installed() if ord(character) in _characters(font.fname) and _can_draw(font.fname, character)), None)
    return _in_all_weights(found) if found else None


def _box_for(character: str) -> str:
    if is_blank(character):
        return ""
    _tell("emoji or symbol" if category(character)[0] == "S" else name(character, "unnamed").split()[0])
    return BOX


@cache  # once for each script
def _tell(script: str) -> None:
    logging.getLogger(__name__).warning(
        "No installed font has some %s characters of the labels: the figures show %s instead. Install a font that has them, as of Noto.",
        script,
        BOX,
    )


def _own_path() -> str:
    from matplotlib.font_manager import findfont

    return str(findfont(OWN))


def _installed() -> "Iterator[FontEntry]":
    """Yield all upright fonts that matplotlib knows of, the machine's before those that it brings along, regular weights first."""
    from matplotlib.font_manager import fontManager

    upright = [font for font in fontManager.ttflist if font.style == "normal" and not font.name.startswith((OWN, *NOT_FOR_TEXT))]
    yield from sorted(upright, key=lambda font: ("mpl-data" in font.fname, font.weight not in (400, "normal"), font.name, font.fname))


def _in_all_weights(font: "FontEntry") -> str:
    """Let matplotlib take `font` for regular and bold text, or it would log a line for each weight that it lacks; return its family."""
    from matplotlib.font_manager import fontManager

    entries = fontManager.ttflist
    entries += [entry for weight in WEIGHTS if (entry := replace(font, weight=weight)) not in entries]
    return font.name


@cache
def _characters(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):  # gone since matplotlib looked, or of a kind that it can't read
        return frozenset()


def _can_draw(path: str, character: str) -> bool:
    """Whether matplotlib can load the glyph: those of bitmap fonts it can't."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        font.set_size(10, 72)
        font.load_char(ord(character))
    except (OSError, RuntimeError):
        return False
    return True
