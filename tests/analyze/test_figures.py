"""Figures show labels in any script: with an installed font that has it, else with boxes and one line that says so. No warnings."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
from matplotlib import pyplot
from matplotlib.font_manager import FontEntry, fontManager

from lib.analyze import figures, fonts
from lib.analyze.statistics import keep_rates

matplotlib.use("Agg")
SCRIPTS = ["量子力学", "हिन्दी व्याकरण", "한국사", "🧪 lab", "ไทย"]


def table(*subjects: str) -> pd.DataFrame:
    rows = [(subject, "overgeneralization", "kept", 4, 5, 5) for subject in subjects]
    return pd.DataFrame(rows, columns=["subject", "misconception_type", "status", "quality_score", "critical_total", "critical_passed"])


def drawn(folder: Path, *subjects: str, note: str = "run t") -> None:
    """Draw every figure that shows subjects; a warning is an error."""
    made = table(*subjects)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cells = keep_rates(made, ["subject", "misconception_type"])
        for number, figure in enumerate(
            [
                figures.keep_rate_by_subject(keep_rates(made, ["subject"]), note=note),
                figures.keep_rate_heatmap(cells, note=note),
                figures.scores(made, note=note),
            ]
        ):
            figure.savefig(folder / f"{number}.png", bbox_inches="tight")
            pyplot.close(figure)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FontEntry]]:
    """Return the fonts that are installed beside matplotlib's own; a test adds to them."""
    found: list[FontEntry] = []
    monkeypatch.setattr(fonts, "_installed", lambda: iter(found))
    for function in (fonts.family_with, fonts._tell):
        function.cache_clear()
    yield found
    fonts.family_with.cache_clear()


def test_scripts_that_no_font_has_are_boxes_and_one_line_each(
    tmp_path: Path, installed: list[FontEntry], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        drawn(tmp_path, *SCRIPTS, note="written by 模型-1")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 5 and all("Install a font" in line and "\n" not in line for line in told)
    assert fonts.drawable("量子 x") == "□□ x"


def test_an_installed_font_is_taken_for_what_matplotlibs_own_lacks(
    tmp_path: Path, installed: list[FontEntry], caplog: pytest.LogCaptureFixture
) -> None:
    stix = next(font for font in fontManager.ttflist if font.name == "STIXGeneral" and font.style == "normal")
    own = fonts._characters(fonts._own_path())
    lacking = next(chr(code) for code in sorted(fonts._characters(stix.fname)) if code not in own and chr(code).isalpha())
    installed.append(stix)
    assert fonts.families(["Physics"]) == ["DejaVu Sans"]
    assert fonts.families(["Physics", lacking]) == ["DejaVu Sans", "STIXGeneral"]
    assert fonts.drawable(f"x{lacking}") == f"x{lacking}"
    with caplog.at_level(logging.WARNING):
        drawn(tmp_path, f"Physics {lacking}")
    assert caplog.records == []


def test_a_font_file_that_is_gone_is_passed_over(installed: list[FontEntry]) -> None:
    installed.append(FontEntry(fname="/nowhere/gone.ttf", name="Gone"))
    assert fonts.family_with("量") is None


def test_usual_labels_open_no_further_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_installed", lambda: pytest.fail("a font was looked for"))
    drawn(tmp_path, "us_history", "number_theory", "café — naïve “quoted” → α ≤ β")


@pytest.mark.parametrize("name", ["$x$", r"$\frac{$", "a $5 model for $6", "tab\tbell\x07", "line\nline"])
def test_a_name_is_drawn_as_text_whatever_is_in_it(tmp_path: Path, name: str) -> None:
    drawn(tmp_path, name, note=f"written by {name}")
