"""The engine between `ask` and the provider: the shared brake, the prompt cache, the waits, and the money."""

import asyncio
import sqlite3
import time
from datetime import UTC, datetime

import pytest

from lib.generate.seeds import SeedFile
from lib.generate.topics import Topics
from lib.llm import messages
from lib.llm.budget import Budget, PriceError, cacheable, price_of, price_table
from lib.llm.call import CallFailed, Usage
from lib.llm.loop import for_each
from lib.llm.problems import retry_after_s
from lib.llm.window import Window
from lib.prompts.rendering import Prompt, scenario_prompt
from lib.run.files import write_jsonl
from lib.run.records import recorded_failures
from lib.run.run import Run
from lib.schema import Failure, Seed, Slot
from lib.settings import Settings
from tests.build import generate
from tests.provider import Provider


def answered(window: Window, *, good: int, rejected: int) -> None:
    for _ in range(good):
        window.succeeded()
    for _ in range(rejected):
        window.rejected()


# ── the brake ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_window_begins_low_and_doubles_in_a_round_trip() -> None:
    window = Window(200)
    assert window.limit == 25
    answered(window, good=25, rejected=0)
    assert window.limit == 50


def test_a_lone_429_does_not_slow_the_others() -> None:
    window = Window(50)
    answered(window, good=60, rejected=1)
    answered(window, good=200, rejected=2)
    assert window.limit == 50


def test_a_large_share_of_429s_cuts_the_window_to_what_was_admitted() -> None:
    window = Window(50)
    answered(window, good=40, rejected=0)
    window.in_flight = 20
    answered(window, good=30, rejected=20)
    assert window.limit == 20


def test_the_window_climbs_back_when_the_provider_admits_more() -> None:
    window = Window(50)
    window.in_flight = 20
    answered(window, good=10, rejected=25)
    assert window.limit == 20
    answered(window, good=700, rejected=0)
    assert window.limit == 50


def test_a_long_run_without_a_rejection_stays_at_its_width() -> None:
    """110,000 answers: a step that doubled without bound overflowed after a thousand doublings."""
    window = Window(50)
    answered(window, good=110_000, rejected=0)
    assert window.limit == 50


def test_a_provider_that_admits_seven_is_not_hammered(provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics) -> None:
    provider.settings.admit, provider.settings.latency_s, provider.settings.retry_after = 7, 0.05, 0.05
    made = generate(settings.model_copy(update={"num_seeds": 100, "max_concurrency": 50, "budget_usd": 500.0}))
    assert made.done == 200
    assert sum(provider.stats()["rejected"].values()) < 100


def test_a_used_up_rate_limit_makes_the_next_calls_wait_for_its_refill() -> None:
    async def waited_s() -> float:
        window, in_a_moment = Window(50), datetime.fromtimestamp(time.time() + 0.4, UTC)
        headers = {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": in_a_moment.isoformat(),
        }
        window.heed(messages.rate_limit(headers))
        started = time.monotonic()
        async with window.place():
            return time.monotonic() - started

    assert 0.1 < asyncio.run(waited_s()) < 0.6  # 25 of 50 a round: half of the time to a full limit


def test_a_529_does_not_brake(provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics) -> None:
    window = Window(50)
    answered(window, good=100, rejected=0)
    assert window.limit == 50
    provider.settings.script = ["529"] * 5
    assert generate(settings).done == 6


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    """Forms: RFC 9110, section 10.2.3, and the SDK's `retry-after-ms`."""
    assert retry_after_s(headers) == seconds


# ── the prompt cache ─────────────────────────────────────────────────────────────────────────────────────────────────


def cached_tokens(settings: Settings) -> tuple[int, int]:
    with sqlite3.connect(Run(settings).journal) as connection:
        return tuple(connection.execute("SELECT SUM(cache_write > 0), SUM(cache_read > 0) FROM reply").fetchone())


def test_a_prompt_that_reaches_the_minimum_is_read_from_the_cache(
    provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(price_table()["models"]["claude-opus-5-5"], "cache_minimum", 512)
    provider.settings.cache_minimum = 1000
    generate(settings.model_copy(update={"max_concurrency": 1}))
    assert cached_tokens(settings) == (2, 10)


def test_a_prompt_that_does_not_reach_the_minimum_is_not_marked_for_the_cache(
    provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(price_table()["models"]["claude-opus-5-5"], "cache_minimum", 4096)
    generate(settings)
    assert not any("cache_control" in str(request.body) for request in provider.requests)


def test_a_prefix_below_every_models_minimum_is_not_marked() -> None:
    assert not cacheable("x" * 1800, "claude-opus-5-5")
    assert cacheable("x" * 1900, "claude-opus-5-5")
    assert not cacheable("x" * 1900, "claude-opus-4-5")


# ── the money ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_costs_what_the_price_list_says() -> None:
    """By hand: 1,000 in at $4, 500 out at $20, 2,000 read at $0.20, 100 written at $5, each per million."""
    usage = Usage(input=1000, output=500, cache_read=2000, cache_write=100)
    assert price_of("claude-opus-5-5").cost_usd(usage) == pytest.approx(0.004 + 0.010 + 0.0004 + 0.0005)
    assert price_of("claude-opus-5-5", mode="batch").cost_usd(usage) == pytest.approx(0.01490 / 2)


def test_a_dated_model_has_its_familys_price() -> None:
    assert price_of("claude-opus-4-5-20251101") == price_of("claude-opus-4-5")


def test_a_reservation_waits_for_calls_in_flight_and_fails_when_none_is() -> None:
    async def three_calls() -> list[str]:
        budget, told = Budget(1.0), []

        async def call(name: str, *, worst: float, paid: float) -> None:
            async with budget.reserve(worst):
                told.append(name)
                await asyncio.sleep(0)
                budget.pay(paid)

        await asyncio.gather(call("first", worst=0.9, paid=0.1), call("second", worst=0.9, paid=0.8))
        with pytest.raises(CallFailed, match="over_budget"):
            await call("third", worst=0.2, paid=0.2)
        assert budget.spent_usd == pytest.approx(0.9)
        return told

    assert asyncio.run(three_calls()) == ["first", "second"]


def test_a_pass_whose_budget_is_used_up_renders_no_prompt_for_the_slots_that_are_left(
    cap_alone: None, provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered: list[str] = []

    def counted(slot: Slot, seed: Seed) -> Prompt:
        rendered.append(slot.id)
        return scenario_prompt(slot, seed)

    monkeypatch.setattr("lib.generate.samples.scenario_prompt", counted)
    long = settings.model_copy(update={"num_seeds": 500, "samples_per_seed": 4, "budget_usd": 0.5, "min_call_success": 0.0})
    made = generate(long)
    assert made.done + len(made.failures) == 2_000
    assert {failure.reason for failure in made.failures} == {"over_budget"}
    assert 0 < made.done <= len(rendered) < 100


def test_a_pass_whose_budget_is_used_up_still_replays_what_was_paid(
    cap_alone: None, provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    generate(settings)
    with sqlite3.connect(Run(settings).journal) as journal:  # the first slot's replies are lost
        journal.execute("DELETE FROM reply WHERE slot = 'seed001_var1'")
    poor = settings.model_copy(update={"budget_usd": 0.01, "max_concurrency": 1, "min_call_success": 0.0})
    made = generate(poor)
    assert (made.done, [failure.id for failure in made.failures]) == (5, ["seed001_var1"])


def test_what_is_reserved_counts_against_the_cap() -> None:
    """Two calls of at most $0.6 do not fit under $1 together, so the second waits until the first has settled."""
    order: list[str] = []

    async def call(budget: Budget, name: str) -> None:
        async with budget.reserve(0.6):
            order.append(f"{name} begins")
            assert budget.spent_usd + budget.reserved_usd <= budget.cap_usd
            await asyncio.sleep(0)
            budget.pay(0.1)
            order.append(f"{name} ends")

    async def both() -> None:
        budget = Budget(1.0)
        await asyncio.gather(call(budget, "first"), call(budget, "second"))

    asyncio.run(both())
    assert order == ["first begins", "first ends", "second begins", "second ends"]


def test_a_users_mistake_is_shown_before_a_bug_that_came_with_it() -> None:
    async def work(index: int, _: object) -> None:
        await asyncio.sleep(0)
        raise [RuntimeError("a bug"), PriceError("no price")][index]

    with pytest.raises(PriceError):
        asyncio.run(for_each(work, range(2), width=2))


def test_a_pass_replaces_only_its_own_failures(provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics) -> None:
    generate(settings)
    of_the_judge = Failure(id="seed001_var1", stage="judge", reason="refusal", detail="the model declined")
    write_jsonl(Run(settings).failures, [of_the_judge])
    generate(settings)
    assert recorded_failures(Run(settings)) == [of_the_judge]
