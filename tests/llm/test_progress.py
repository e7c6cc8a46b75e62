"""The line beside a progress bar shows what a person wants to know of a run under way."""

from types import SimpleNamespace
from typing import Any

import pytest

from lib.llm import progress
from lib.llm.progress import Standing, pace, progress_bar
from lib.settings import Settings
from tests.build import generate
from tests.provider import Provider


def asker(*, is_local: bool = False, in_flight: int = 31) -> Any:
    ask = SimpleNamespace(is_free=is_local, budget=SimpleNamespace(spent_usd=1.874), in_flight=(in_flight, 38), report=None)
    ask.follow_batches = lambda report: setattr(ask, "report", report)
    return ask


# ── what stands behind the bar ───────────────────────────────────────────────────────────────────────────────────────


def test_it_shows_the_cost_and_the_calls_in_flight_with_their_limit() -> None:
    assert str(Standing(asker())) == "$1.87 so far, 31 of 38 calls in flight"


def test_failures_are_counted_by_reason_in_plain_words() -> None:
    standing = Standing(asker(in_flight=0))
    for reason in ("refusal", "invalid_answer", "refusal"):
        standing.failed(reason)
    assert str(standing) == "$1.87 so far, 3 failed (2 refusal, 1 invalid answer)"


def test_what_a_batch_reports_is_shown_at_once_and_beside_the_cost_and_the_failures() -> None:
    ask, drawn = asker(in_flight=0), list[str]()
    standing = Standing(ask)
    standing.follow_batches(lambda: drawn.append(str(standing)))
    standing.failed("refusal")
    ask.report("msgbatch_1: 3 of 10 answered")
    assert drawn == ["$1.87 so far, 1 failed (1 refusal), msgbatch_1: 3 of 10 answered"]


def test_a_log_repeats_nothing_of_a_batch_that_has_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "headless", lambda: True)
    ask, drawn = asker(in_flight=0), list[str]()
    standing = Standing(ask)
    standing.follow_batches(lambda: drawn.append(str(standing)))
    for text in ("0 of 10 answered", "0 of 10 answered", "10 of 10 answered"):
        ask.report(text)
    assert drawn == ["$1.87 so far, 0 of 10 answered", "$1.87 so far, 10 of 10 answered"]
    monkeypatch.setattr(progress, "REPEATED_AFTER_S", -1.0)
    ask.report("10 of 10 answered")
    assert len(drawn) == 3, "after five minutes it does, as a sign of life"


def test_a_model_on_this_machine_has_neither_cost_nor_limit() -> None:
    assert str(Standing(asker(is_local=True))) == ""


# ── pace ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("done", "rate", "text"),
    [
        (312, 4.556, "4.6/s, 2:31 to go"),
        (312, 0.1, "6.0 a minute, 1:54:40 to go"),
        (0, 0.0, "1:20 so far"),
        (1_000, 4.0, "in 1:20"),
    ],
)
def test_the_pace_and_what_it_leaves_are_shown(done: int, rate: float, text: str) -> None:
    """688 samples are left after 80 seconds."""
    assert pace(done, 1_000, elapsed_s=80.0, rate=rate) == text


# ── the bar ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_screen_each_redraw_is_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "headless", lambda: True)
    with progress_bar(1_000, description="Made", unit="samples", note=lambda: "$1.87 so far") as bar:
        bar.update(1_000)
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "Made: 0/1,000 samples (0 %), 0:00 so far, $1.87 so far"
    assert last == "Made: 1,000/1,000 samples (100 %), in 0:00, $1.87 so far"


def test_where_the_pace_is_not_steady_no_time_is_promised(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(4, description="Made", unit="samples", is_steady=False) as bar:
        bar.update(1)
        bar.refresh()
        assert "| 1/4 samples, 0:00 so far" in capsys.readouterr().out


def test_the_note_is_written_only_when_the_bar_is_drawn() -> None:
    """At the beginning and at the end, whatever happens between them in half a second."""
    notes = list[str]()
    with progress_bar(10_000, description="Made", unit="samples", note=lambda: notes.append("") or "") as bar:
        for _ in range(10_000):
            bar.update(1)
    assert len(notes) < 50


def test_where_nothing_is_to_be_done_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(0, description="Topping up, near misses: repaired", unit="samples") as bar:
        bar.refresh()
    assert capsys.readouterr().out == ""


def test_one_sample_is_shown_in_the_singular(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(1, description="Made", unit="samples") as bar:
        bar.update(1)
    assert "| 1/1 sample, in 0:00" in capsys.readouterr().out


def test_a_real_run_shows_them(provider: Provider, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    provider.settings.script = ["refusal"]
    generate(settings.model_copy(update={"min_call_success": 0.0}))
    said = capsys.readouterr().out
    assert "$0." in said and "1 failed (1 refusal)" in said
