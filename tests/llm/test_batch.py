"""`mode = batch`: the same plan through Message Batches, at half the price, and what happens when it is interrupted."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Container
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lib.generate.seeds import SeedFile
from lib.generate.topics import Topics
from lib.llm.call import ProviderError
from lib.llm.journal import Journal
from lib.llm.ledger import ledger
from lib.run.run import Run
from lib.settings import PROJECT_ROOT, Settings
from tests.build import gate, generate, judge
from tests.llm.test_wire import outcomes
from tests.provider import Provider

JUDGE = "judge(s)"
GENERATE = "generate(s)"


def in_results(change: Callable[[Any], Any], *, batches: Container[str] = ()) -> Callable[[web.Request, int, Any], Any]:
    """Return a `spoil` that changes each line of the results (of these batches, or of all); None leaves a line out."""

    def spoil(http: web.Request, status: int, payload: Any) -> Any:
        if not http.path.endswith("/results") or (batches and http.match_info["batch_id"] not in batches):
            return payload
        lines = [change(json.loads(line)) for line in payload.splitlines()]
        return "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines if line is not None)

    return spoil


def failed(line: Any, kind: str) -> Any:
    error = {"type": "error", "error": {"type": "api_error", "message": "Internal server error"}}
    return line | {"result": {"type": kind} | ({"error": error} if kind == "errored" else {})}


def killed_while_its_batch_is_under_way(provider: Provider, settings: Settings, what: str) -> None:
    """Run `what` in a process of its own, and kill it once it has created a batch."""
    provider.settings.batch_delay_s, before = 1.0, provider.stats()["batches"]
    script = (
        "import sys; from lib.settings import Settings; from tests.build import generate, judge\n"
        f"s = Settings.of(**__import__('json').loads(sys.argv[1]))\n{what}"
    )
    child = subprocess.Popen([sys.executable, "-c", script, settings.model_dump_json()], cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL)
    journal = Run(settings).journal
    while child.poll() is None and not (provider.stats()["batches"] > before and named_shards(journal) > 0):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    provider.settings.batch_delay_s = 0.0


def named_shards(journal: Path) -> int:
    """Return how many batches are under way, by the journal."""
    with closing(sqlite3.connect(journal)) as connection:
        return int(connection.execute("SELECT COUNT(*) FROM shard WHERE open AND batch_id != ''").fetchone()[0])


def forget(settings: Settings, stage: str) -> None:
    """Take one reply of `stage` out of the journal, so that the next pass makes a real call."""
    with closing(sqlite3.connect(Run(settings).journal)) as connection, connection:
        connection.execute("DELETE FROM reply WHERE key = (SELECT MIN(key) FROM reply WHERE stage = ?)", (stage,))


def replies_and_keys(settings: Settings) -> tuple[int, int]:
    """Return how many replies were paid for, and to how many different calls."""
    with closing(sqlite3.connect(Run(settings).journal)) as connection:
        return tuple(connection.execute("SELECT COUNT(*), COUNT(DISTINCT key) FROM reply WHERE stage != 'canary'").fetchone())


def batches_created(provider: Provider) -> list[int]:
    """Return the sizes of the batches that were asked for, in their order."""
    return [len(each.body["requests"]) for each in provider.requests if each.method == "POST" and each.path.endswith("/batches")]


@pytest.fixture
def batched(settings: Settings) -> Settings:
    return settings.model_copy(update={"mode": "batch", "batch_poll_s": 0.05})


def test_a_plan_in_batches_gives_the_same_bytes_for_half_the_price(
    provider: Provider, settings: Settings, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    provider.settings.cache_minimum = 1_000_000  # whether a prompt is read from the cache depends on timing, and changes the price
    live = settings.model_copy(update={"run": "live"})
    paid = [generate(each).cost_usd for each in (live, batched)]
    assert Run(batched).generated.read_bytes() == Run(live).generated.read_bytes()
    assert paid[1] == pytest.approx(paid[0] / 2)
    assert sum(batches_created(provider)) == 12  # six scenarios, six gold responses


def test_judging_in_batches_works_the_same_way(provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics) -> None:
    generate(batched)
    gate(batched)
    assert judge(batched).done == 6


@pytest.mark.parametrize("kind", ["errored", "expired"])
def test_what_did_not_succeed_in_a_batch_is_asked_again(
    kind: str, provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    provider.settings.spoil = in_results(lambda line: failed(line, kind), batches={"msgbatch_000001"})
    made = generate(batched)
    assert made.done == made.total
    assert sum(batches_created(provider)) == 6 + 6 + 6  # scenarios, the same again, gold responses


def test_a_request_that_expires_twice_is_given_up(provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics) -> None:
    provider.settings.spoil = in_results(lambda line: failed(line, "expired"))
    made = generate(batched.model_copy(update={"min_call_success": 0.0}))
    assert {(failure.stage, failure.reason) for failure in made.failures} == {("scenario", "unavailable")}
    assert sum(batches_created(provider)) == 6 + 6


def test_a_batch_that_was_canceled_stops_the_run_and_the_next_asks_for_the_rest_only(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    numbers = count()
    provider.settings.spoil = in_results(lambda line: failed(line, "canceled") if next(numbers) < 4 else line)
    with pytest.raises(ProviderError, match="msgbatch_000001 was canceled at the provider"):
        generate(batched)
    provider.settings.spoil = None
    assert generate(batched).done == 6
    assert sum(batches_created(provider)) == 6 + 4 + 6  # scenarios, four of them anew, gold responses


@pytest.mark.parametrize("fault", ["429", "529", "500", "drop"])
def test_an_error_while_creating_never_pays_for_a_batch_twice(
    fault: str, provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    """A dropped answer leaves open whether the batch was created: it is looked up, not sent again."""
    provider.settings.batch_script = [fault]
    assert generate(batched).done == 6
    assert provider.stats()["repeated"] == 0


def test_a_run_killed_while_its_batch_is_under_way_picks_the_batch_up(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    killed_while_its_batch_is_under_way(provider, batched, GENERATE)
    made = generate(batched)
    assert made.done == 6
    assert sum(batches_created(provider)) == 12
    assert provider.stats()["repeated"] == 0


def test_a_batch_that_another_pass_reads_is_paid_once_and_stands_in_the_ledger(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    """Generating reads the judge's batch, because it has a real call to make and so waits for batches."""
    generate(batched)
    gate(batched)
    killed_while_its_batch_is_under_way(provider, batched, JUDGE)
    forget(batched, "gold")
    time.sleep(1.0)  # until the judge's batch has ended
    generate(batched)
    assert {line.stage: line.calls for line in ledger(Run(batched).journal)}["judge"] > 0
    created = len(batches_created(provider))
    assert judge(batched).done == 6
    assert len(batches_created(provider)) == created
    assert provider.stats()["repeated"] == 1  # the reply that was taken out
    assert replies_and_keys(batched) == (19, 19)  # 12 to generate, 7 to judge, one of them a planted copy


def test_after_a_change_of_plan_the_batch_under_way_is_still_read_into_the_ledger(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    killed_while_its_batch_is_under_way(provider, batched, GENERATE)
    generate(batched.model_copy(update={"num_seeds": 1}))
    assert generate(batched).done == 6
    assert provider.stats()["repeated"] == 0


def test_a_live_run_takes_what_an_earlier_batch_has_answered(
    provider: Provider, batched: Settings, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    killed_while_its_batch_is_under_way(provider, batched, GENERATE)
    time.sleep(1.0)
    made = generate(settings)
    assert (made.done, made.asked) == (6, 6)  # the gold responses
    assert provider.stats()["repeated"] == 0


def test_a_live_run_says_that_a_batch_is_still_under_way(
    provider: Provider, batched: Settings, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    killed_while_its_batch_is_under_way(provider, batched, GENERATE)
    made = generate(settings)
    assert [remark for remark in made.remarks if "msgbatch_000001" in remark and "still under way with 6 requests" in remark]


# ── batches whose results are not as they should be ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("trouble", ["429", "500", "529", "cut", "redirect"])
def test_an_answer_of_the_results_that_fails_once_is_asked_for_again(
    trouble: str, provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    numbers = count()

    async def cut(http: web.Request, payload: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": str(len(payload))})
        await response.prepare(http)
        await response.write(payload.encode()[: len(payload) // 2])
        assert http.transport
        http.transport.close()
        return response

    def spoil(http: web.Request, status: int, payload: Any) -> Any:
        if not http.path.endswith("/results") or next(numbers):
            return payload
        if trouble == "cut":
            return cut(http, payload)
        if trouble == "redirect":
            return web.Response(status=307, headers={"location": "http://127.0.0.1:9/results"})
        return web.json_response({"type": "error", "error": {"type": "api_error", "message": "busy"}}, status=int(trouble))

    provider.settings.spoil = spoil
    if trouble == "redirect":
        with pytest.raises(ProviderError, match=r"redirects to 127\.0\.0\.1:9"):
            generate(batched)
    assert generate(batched).done == 6
    assert provider.stats()["repeated"] == 0


def test_a_line_that_cannot_be_read_costs_only_its_own_request(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    numbers = count()
    provider.settings.spoil = in_results(lambda line: '{"custom_id": 7' if not next(numbers) else line, batches={"msgbatch_000001"})
    made = generate(batched)
    assert made.done == 6
    assert sum(batches_created(provider)) == 6 + 1 + 6
    assert ("scenario", "invalid_answer") in outcomes(batched)


@pytest.mark.parametrize("where", ["", "/results"])
def test_a_batch_that_is_gone_is_named_and_asked_anew(
    where: str, provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    error = {"type": "error", "error": {"type": "not_found_error", "message": "Not found"}}

    def spoil(http: web.Request, status: int, payload: Any) -> Any:
        is_gone = http.path.endswith(f"/msgbatch_000001{where}")
        return web.json_response(error, status=404) if is_gone else payload

    provider.settings.spoil = spoil
    made = generate(batched)
    assert made.done == 6
    assert sum(batches_created(provider)) == 6 + 6 + 6  # scenarios, the same anew, gold responses
    assert any("msgbatch_000001 is gone" in remark for remark in made.remarks)
    with Journal(Run(batched).journal) as journal:
        assert journal.open_shards() == []


def test_results_that_do_not_come_yet_leave_the_batch_to_the_next_run(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    provider.settings.spoil = in_results(lambda _: None)
    made = generate(batched.model_copy(update={"min_call_success": 0.0}))
    assert {failure.reason for failure in made.failures} == {"unavailable"}
    assert sum(batches_created(provider)) == 6
    provider.settings.spoil = None
    assert generate(batched).done == 6
    assert provider.stats()["repeated"] == 0


def test_missing_results_are_not_asked_anew_when_the_next_look_at_the_batch_fails(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    """The batch may still hold them, so a new batch would pay for them twice."""
    error, without_lines = {"type": "error", "error": {"type": "api_error", "message": "busy"}}, in_results(lambda _: None)
    reads: list[str] = []

    def spoil(http: web.Request, status: int, payload: Any) -> Any:
        if http.path.endswith("/results"):
            reads.append(http.path)
            return without_lines(http, status, payload)
        return web.json_response(error, status=500) if reads and http.path.endswith("/msgbatch_000001") else payload

    provider.settings.spoil = spoil
    made = generate(batched.model_copy(update={"min_call_success": 0.0}))
    assert {failure.reason for failure in made.failures} == {"unavailable"}
    assert sum(batches_created(provider)) == 6


def test_results_are_read_from_the_endpoint_itself(provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics) -> None:
    with Provider() as other:

        def spoil(http: web.Request, status: int, payload: Any) -> Any:
            is_batch = isinstance(payload, dict) and "results_url" in payload
            return payload | {"results_url": f"{other.url}/v1/results"} if is_batch else payload

        provider.settings.spoil = spoil
        assert generate(batched).done == 6
        assert not other.requests


# ── creating ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", ["529", "429", "drop"])
def test_another_runs_batch_of_the_same_size_is_never_taken_for_ours(
    fault: str, provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    other = batched.model_copy(update={"run": "other", "random_seed": 1})
    assert generate(other).done == 6
    provider.settings.batch_script = [fault]
    assert generate(batched).done == 6
    assert provider.stats()["repeated"] == 0
    with Journal(Run(other).journal) as theirs, Journal(Run(batched).journal) as ours:
        assert not theirs.shard_ids() & ours.shard_ids()


@pytest.mark.parametrize("status", [429, 500, 529])
def test_while_batches_cannot_be_listed_none_is_created_again(
    status: int, provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    provider.settings.batch_script, numbers = ["drop"], count()
    error = {"type": "error", "error": {"type": "api_error", "message": "busy"}}

    def spoil(http: web.Request, _: int, payload: Any) -> Any:
        return web.json_response(error, status=status) if "limit" in http.query and not next(numbers) else payload

    provider.settings.spoil = spoil
    assert generate(batched).done == 6
    assert provider.stats()["repeated"] == 0
    assert sum(batches_created(provider)) == 6 + 6


def unnamed(settings: Settings) -> None:
    """Leave the journal as a crash between creating batches and naming them would have left it."""
    with closing(sqlite3.connect(Run(settings).journal)) as journal, journal:
        journal.execute("UPDATE shard SET open = 1, batch_id = ''")
        journal.execute("DELETE FROM reply")


def test_a_batch_that_cannot_be_looked_for_is_one_line_and_nothing_is_paid(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    generate(batched)
    unnamed(batched)
    error = {"type": "error", "error": {"type": "api_error", "message": "busy"}}
    provider.settings.spoil = lambda http, _, payload: web.json_response(error, status=500) if "limit" in http.query else payload
    with pytest.raises(ProviderError, match="may be under way, and can't be looked for"):
        generate(batched)
    provider.settings.spoil = None
    assert generate(batched).done == 6
    assert provider.stats()["repeated"] == 0


def test_a_live_run_says_that_a_batch_without_a_name_may_be_under_way(
    provider: Provider, batched: Settings, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    generate(batched)
    unnamed(batched)
    assert any("may be under way" in remark for remark in generate(settings).remarks)


def test_a_moment_of_creation_that_cannot_be_is_taken_for_unknown(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    generate(batched)
    unnamed(batched)

    def spoil(http: web.Request, _: int, payload: Any) -> Any:
        if "limit" not in http.query:
            return payload
        return payload | {"data": [batch | {"created_at": "0001-01-01T00:00:00"} for batch in payload["data"]]}

    provider.settings.spoil = spoil
    assert generate(batched).done == 6
    assert provider.stats()["repeated"] == 0


@pytest.mark.parametrize("headers", [{"content-encoding": "br"}, {"content-encoding": "gzip"}, {"content-length": "900"}])
def test_an_error_of_the_results_whose_body_breaks_is_asked_for_again(
    headers: dict[str, str], provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    numbers = count()

    async def broken(http: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=502, headers=headers)
        await response.prepare(http)
        await response.write(b"busy")
        assert http.transport
        http.transport.close()
        return response

    provider.settings.spoil = lambda http, _, payload: broken(http) if http.path.endswith("/results") and not next(numbers) else payload
    assert generate(batched).done == 6
    assert provider.stats()["repeated"] == 0


@pytest.mark.parametrize("answer", [{}, {"id": None}, {"id": "../../secrets"}, b"<html>"])
def test_a_batch_created_without_an_id_is_one_clear_line_and_found_by_the_next_run(
    answer: Any, provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.llm.batch_wire.TRIES", 1)
    provider.settings.spoil = lambda http, _, payload: answer if http.method == "POST" or "limit" in http.query else payload
    with pytest.raises(ProviderError, match=r"can't list its batches|creates no batch"):
        generate(batched)
    provider.settings.spoil = None
    assert generate(batched).done == 6
    assert provider.stats()["repeated"] == 0


def test_a_list_of_batches_without_an_end_is_left_after_some_pages(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    provider.settings.batch_script = ["drop"]
    numbers = count()

    def spoil(http: web.Request, status: int, payload: Any) -> Any:
        if "limit" not in http.query:
            return payload
        return web.json_response({"data": [], "has_more": True, "last_id": f"msgbatch_{next(numbers)}"})

    provider.settings.spoil = spoil
    assert generate(batched).done == 6
    assert next(numbers) == 1 + 20  # the first shows that there are batches; the others are pages of a hundred


def test_a_batch_that_was_created_before_its_id_was_written_down_is_found_again(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    generate(batched)
    run = Run(batched)
    with Journal(run.journal) as journal:  # as a crash between creating and naming would have left it
        journal._reader.execute("UPDATE shard SET open = 1, batch_id = ''")
        journal._reader.execute("DELETE FROM reply")
        journal._reader.commit()
    assert generate(batched).done == 6
    assert sum(batches_created(provider)) == 12


def test_results_that_are_read_again_are_not_paid_again(provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics) -> None:
    generate(batched)
    with closing(sqlite3.connect(Run(batched).journal)) as journal, journal:
        journal.execute("UPDATE shard SET open = 1")
    forget(batched, "gold")
    made = generate(batched)
    assert (made.done, replies_and_keys(batched)) == (6, (12, 12))


def test_a_batch_in_a_state_that_is_not_known_is_not_waited_for_without_end(
    provider: Provider, batched: Settings, seed_file: SeedFile, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.llm.batch_wire.LONGEST_BATCH_S", 0.3)
    provider.settings.spoil = lambda _http, _status, payload: (
        payload | {"processing_status": "failed"} if isinstance(payload, dict) and "processing_status" in payload else payload
    )
    with pytest.raises(ProviderError, match=r"has not ended in time \(status: failed\)"):
        generate(batched)
