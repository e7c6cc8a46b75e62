"""Figures show labels in any script, without warnings. Where there is too little to draw, a sentence stands for the figure."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, findfont, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from lib import show
from lib.analyze import fonts, plot_overview, plot_rates, plot_scores
from lib.analyze.tables import Tables
from lib.run.manifest import update_manifest
from lib.run.run import Run
from lib.settings import Settings
from tests.build import a_planted, a_sample, an_evaluation, rubrics_of, tables, write_run

matplotlib.use("Agg")
CELL = ("subject", "misconception_type")
SCRIPTS = ["量子力学", "हिन्दी व्याकरण", "한국사", "🧪 lab", "ไทย"]


def made(folder: Path, *subjects: str, writer: str) -> Tables:
    named = [subjects[number % len(subjects)] for number in range(32)]
    samples = [a_sample(f"s{number}", subject=subject, models={"gold": writer}) for number, subject in enumerate(named)]
    evaluations = [an_evaluation(sample) for sample in samples]
    return tables(write_run(Settings.of(run="t", outputs_dir=str(folder)), samples, evaluations))


def drawn(folder: Path, *subjects: str, writer: str = "writer-1") -> None:
    """Draw every figure that shows subjects; a warning is an error."""
    found = made(folder, *subjects, writer=writer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, figure in enumerate([plot_rates(found, "subject"), plot_rates(found, *CELL), plot_scores(found), plot_overview(found)]):
            assert not isinstance(figure, str)
            figure.savefig(folder / f"{number}.png", bbox_inches="tight")


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


# ── what is drawn, and what is said instead ──────────────────────────────────────────────────────────────────────────


def run_of(settings: Settings, count: int, *, failed: int = 0, topped_up: int = 0, planted: int = 16) -> Tables:
    """Return the tables of a run whose first samples fail a criterion."""
    origins = ["plan"] * (count - topped_up) + ["top_up"] * topped_up
    samples = [a_sample(f"s{number:02}", rubrics=rubrics_of(5, 5), origin=origin) for number, origin in enumerate(origins)]
    evaluations = [an_evaluation(each, failed=["r1"] if number < failed else []) for number, each in enumerate(samples)]
    return tables(write_run(settings, samples, evaluations, planted=[a_planted(each, failed=["r1"]) for each in samples[::-1][:planted]]))


def texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_visible()]


def test_four_samples_are_a_sentence_not_four_giant_rectangles(settings: Settings) -> None:
    found = run_of(settings, 4, failed=3)
    assert plot_rates(found, "subject") == "4 samples over 1 subject are too few for rates by subject: 1 of 4 is kept."
    assert plot_rates(found, "tutoring_skill") == "8 verdicts over 1 skill are too few for rates by tutoring skill: 5 of 8 are met."
    assert plot_rates(found, "spoiling") == "1 planted failure over 1 kind is too few for rates by kind of failure: 1 of 1 is caught."
    assert plot_rates(found, *CELL) == "4 samples over 1 cell are too few for rates by subject and kind of misconception: 1 of 4 is kept."


def test_subjects_and_cells_that_hold_one_sample_each_are_not_drawn(settings: Settings) -> None:
    samples = [a_sample(f"s{number:02}", subject=f"subject {number}") for number in range(32)]
    found = tables(write_run(settings, samples, [an_evaluation(each) for each in samples]))
    assert str(plot_rates(found, *CELL)).startswith("32 samples over 32 cells are too few")
    assert str(plot_rates(found, "subject")).startswith("32 samples over 32 subjects are too few")
    assert not isinstance(plot_rates(found, "misconception_type"), str)


def test_what_was_topped_up_is_in_no_rate_but_on_a_line_of_its_own(settings: Settings) -> None:
    found = run_of(settings, 40, failed=10, topped_up=8)
    figure = plot_rates(found, "subject")
    assert isinstance(figure, Figure)
    shown = texts(figure)
    assert "22/32" in shown
    assert any("topped up: 8 of 8 further samples kept" in text for text in shown)


def test_the_overview_says_what_each_step_lost_and_what_is_left(settings: Settings) -> None:
    shown = texts(plot_overview(run_of(settings, 40, failed=10)))
    assert {"Made", "Critical rubrics failed", "− 10", "30", "Kept"} <= set(shown)


def test_the_overview_tells_made_kept_rates_and_what_was_paid(settings: Settings) -> None:
    """Three quarters are kept, 16 of 16 caught. Wilson by hand for 30 of 40: 60 % to 86 %."""
    shown = texts(plot_overview(run_of(settings, 40, failed=10)))
    assert {"made", "40", "kept", "30", "keep rate", "75%", "60% to 86%", "$0"} <= set(shown)
    assert {"planted failures\ncaught", "100%", "81% to 100%"} <= set(shown)


def test_the_overview_shows_what_was_topped_up_as_a_step_of_its_own(settings: Settings) -> None:
    shown = texts(plot_overview(run_of(settings, 40, failed=10, topped_up=8)))
    assert {"Kept in the first pass", "Topped up", "+ 8", "32 in the first pass"} <= set(shown)


def test_the_overview_of_four_samples_holds_the_funnel_and_one_sentence(settings: Settings) -> None:
    figure = plot_overview(run_of(settings, 4, failed=2, planted=0))
    assert len(figure.axes) == 1
    assert {"not measured", "none were planted"} <= set(texts(figure))
    assert any("too few for rates" in text for text in texts(figure))


@pytest.mark.parametrize("count", [4, 40])
def test_nothing_in_the_overview_is_smaller_than_9_points(count: int, settings: Settings) -> None:
    figure = plot_overview(run_of(settings, count, failed=2))
    figure.draw_without_rendering()
    assert figure.get_figwidth() == 9
    assert min(text.get_fontsize() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()) >= 9


@pytest.mark.parametrize(("notice", "failed", "says"), [("a small model", 0, "see the warning"), ("", 40, "can't be told")])
def test_where_there_is_no_corrected_rate_the_overview_says_why(notice: str, failed: int, says: str, settings: Settings) -> None:
    update_manifest(Run(settings), "generation", values={"notice": notice})
    assert says in texts(plot_overview(run_of(settings, 40, failed=failed)))


def test_nothing_kept_is_drawn_too(settings: Settings) -> None:
    assert "0% to 9%" in texts(plot_overview(run_of(settings, 40, failed=40)))


def test_a_subject_that_differs_is_orange_and_chance_is_spoken_of(settings: Settings) -> None:
    samples = [a_sample(f"s{number:02}", subject=("ecology", "finance")[number % 2]) for number in range(40)]
    write_run(settings, samples, [an_evaluation(each, failed=["r1"] if number % 2 else []) for number, each in enumerate(samples)])
    figure = plot_rates(tables(settings), "subject")
    assert isinstance(figure, Figure)
    assert any("Orange: differs from the rest (error rate 5% over all 2 comparisons of subjects)." in text for text in texts(figure))


def test_a_sentence_is_printed_and_the_figure_of_an_earlier_run_is_removed(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(settings)
    figure = plot_overview(run_of(settings, 4))
    show.figure(run, figure, name="by")
    assert (run.figures / "by.png").exists()
    show.figure(run, "4 samples are too few.", name="by")
    assert not (run.figures / "by.png").exists()
    assert capsys.readouterr().out.endswith("4 samples are too few.\n")
