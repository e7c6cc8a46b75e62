"""Figures show labels in any script: with an installed font that has it, else with boxes and one line that says so. No warnings."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
from matplotlib import pyplot
from matplotlib.font_manager import FontEntry, findfont, fontManager
from matplotlib.ft2font import FT2Font

from lib.analyze import fonts, plot_cells, plot_overview, plot_rates, plot_scores
from lib.analyze.tables import Tables
from lib.settings import Settings
from tests.build import a_sample, an_evaluation, tables, write_run

matplotlib.use("Agg")
SCRIPTS = ["量子力学", "हिन्दी व्याकरण", "한국사", "🧪 lab", "ไทย"]


def made(folder: Path, *subjects: str, writer: str) -> Tables:
    samples = [a_sample(f"s{number}", subject=subject, models={"gold": writer}) for number, subject in enumerate(subjects)]
    evaluations = [an_evaluation(sample) for sample in samples]
    return tables(write_run(Settings.of(run="t", outputs_dir=str(folder)), samples, evaluations))


def drawn(folder: Path, *subjects: str, writer: str = "writer-1") -> None:
    """Draw every figure that shows subjects; a warning is an error."""
    found = made(folder, *subjects, writer=writer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, figure in enumerate([plot_rates(found, "subject"), plot_cells(found), plot_scores(found), plot_overview(found)]):
            figure.savefig(folder / f"{number}.png", bbox_inches="tight")
            pyplot.close(figure)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FontEntry]]:
    """Return the fonts that are installed beside matplotlib's own; a test adds to them."""
    found: list[FontEntry] = []
    monkeypatch.setattr(fonts, "_installed", lambda: found)
    for function in (fonts.family_with, fonts._warn_of):
        function.cache_clear()
    yield found
    fonts.family_with.cache_clear()


def test_scripts_that_no_font_has_are_boxes_and_one_line_each(
    tmp_path: Path, installed: list[FontEntry], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        drawn(tmp_path, *SCRIPTS, writer="模型-1")
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 5 and all("Install a font" in line and "\n" not in line for line in told)
    assert fonts.drawable("量子 x") == "□□ x"


def test_an_installed_font_is_taken_for_what_matplotlibs_own_lacks(
    tmp_path: Path, installed: list[FontEntry], caplog: pytest.LogCaptureFixture
) -> None:
    stix = next(font for font in fontManager.ttflist if font.name == "STIXGeneral" and font.style == "normal")
    own = FT2Font(findfont("DejaVu Sans")).get_charmap()
    lacking = next(chr(code) for code in sorted(FT2Font(stix.fname).get_charmap()) if code not in own and chr(code).isalpha())
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
    drawn(tmp_path, name, writer=name)
