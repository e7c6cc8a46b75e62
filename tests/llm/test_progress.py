"""The line behind a progress bar shows what a person wants to know of a run under way."""

from types import SimpleNamespace
from typing import Any

import pytest

from lib.llm.progress import Standing
from lib.settings import Settings
from tests.build import generate
from tests.provider import Provider


class Bar:
    """What is used of a bar."""

    text = ""
    count = 0

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        self.text = text

    def update(self, count: int) -> None:
        self.count += count


def standing(*, mode: str = "live", is_local: bool = False, in_flight: int = 31) -> tuple[Standing, Bar, Any]:
    ask: Any = SimpleNamespace(
        provider=SimpleNamespace(is_local=is_local),
        books=SimpleNamespace(budget=SimpleNamespace(spent_usd=1.874)),
        settings=SimpleNamespace(mode=mode),
        window=SimpleNamespace(in_flight=in_flight, limit=38.0),
        transport=SimpleNamespace(report=None),
    )
    bar = Bar()
    return Standing(bar, ask), bar, ask


def test_it_shows_the_cost_and_the_calls_in_flight_with_their_limit() -> None:
    found, bar, _ = standing()
    found.done()
    assert (bar.text, bar.count) == ("$1.87 in all, 31 of at most 38 calls in flight", 1)


def test_failures_are_counted_by_reason() -> None:
    found, bar, _ = standing(in_flight=0)
    for reason in ("refusal", "truncated", "refusal"):
        found.done(failed=reason)
    assert bar.text == "$1.87 in all, 3 failed (2 refusal, 1 truncated)"


def test_what_a_batch_reports_does_not_take_the_place_of_the_cost() -> None:
    found, bar, ask = standing(mode="batch")
    found.done(failed="refusal")
    ask.transport.report("1 batch under way")
    assert bar.text == "$1.87 in all, 1 failed (1 refusal), 1 batch under way"


def test_a_model_on_this_machine_has_neither_cost_nor_limit() -> None:
    found, bar, _ = standing(is_local=True)
    found.done()
    assert bar.text == ""


def test_a_real_run_shows_them(provider: Provider, settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    provider.settings.script = ["refusal"]
    generate(settings.model_copy(update={"min_call_success": 0.0}))
    said = capsys.readouterr().out
    assert " in all" in said and "1 failed (1 refusal)" in said
