"""A plan through the real SDK against the loopback provider: what is made, paid, replayed, refused and given up."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lib.errors import KitError
from lib.generate.inputs import Plan
from lib.generate.samples import generate_samples
from lib.generate.seeds import SeedFile
from lib.generate.topics import Topics
from lib.llm.budget import PriceError
from lib.llm.call import ProviderError
from lib.llm.tally import RunFailed
from lib.run.files import RunError
from lib.run.run import Run
from lib.schema import Failure, Sample
from lib.settings import PROJECT_ROOT, Settings
from tests.answers import Request
from tests.build import copy_run, gate, generate, held_by_another_process, judge, make_run
from tests.provider import Provider

PLANTED = 1  # 5 % of six samples, rounded up; of a kind that needs no call to write
PRODUCTS = (
    "tutoring_samples_generated.jsonl",
    "tutoring_samples_generated_checkpoint_1.jsonl",
    "failures.jsonl",
    "gated.jsonl",
    "evaluations.jsonl",
    "planted.jsonl",
    "tutoring_samples_filtered.jsonl",
    "dropped.jsonl",
    "tutoring_finetune_openai.jsonl",
    "filtering_statistics.json",
)


def products(settings: Settings) -> dict[str, bytes]:
    return {name: (Run(settings).dir / name).read_bytes() for name in PRODUCTS}


def samples(run: Run) -> list[Sample]:
    return [Sample.model_validate_json(line) for line in run.generated.read_text().splitlines()]


def failures(run: Run) -> list[Failure]:
    return [Failure.model_validate_json(line) for line in run.failures.read_text().splitlines()]


def stage_of(request: Request) -> str:
    fields = request.schema["properties"]
    return "scenario" if "question" in fields else "gold" if "response" in fields else "judge"


def test_a_plan_becomes_samples_in_plan_order(provider: Provider, settings: Settings) -> None:
    made, judged = make_run(settings)
    assert (made.total, made.done, made.asked, judged.done, judged.asked) == (6, 6, 12, 6, 6 + PLANTED)
    assert [sample.id for sample in samples(Run(settings))] == [f"seed00{seed}_var{var}" for seed in (1, 2, 3) for var in (1, 2)]
    assert provider.calls == 18 + PLANTED


def test_the_books_balance(provider: Provider, settings: Settings) -> None:
    provider.settings.faults = {"refusal": 0.15}
    settings = settings.model_copy(update={"num_seeds": 15, "min_call_success": 0.0})
    made, judged = make_run(settings)
    found = json.loads(Run(settings).statistics.read_text())
    assert made.total == made.done + len(made.failures) == 30
    assert 0 < len(made.failures) and 0 < len(judged.failures)
    assert made.done == found["total_samples"] == found["kept_samples"] + found["removed_samples"] + found["unjudged_samples"]
    assert found["unjudged_samples"] == len(judged.failures)
    planted = json.loads(Run(settings).manifest.read_text())["judging"]["planted"]
    assert planted["total"] == 16 == planted["judged"] + planted["failed"]
    assert len(failures(Run(settings))) == len(made.failures) + len(judged.failures) + planted["failed"]
    assert found["by_reason"].get("refusal", 0) == len(judged.failures)


def test_the_same_run_again_pays_nothing_and_writes_the_same_bytes(same_provider: Provider, usual: Settings, settings: Settings) -> None:
    copy_run(usual, to=settings)
    made, judged = make_run(settings)
    assert same_provider.calls == 0
    assert (made.asked, made.replayed, judged.asked, judged.replayed) == (0, 12, 0, 6 + PLANTED)
    assert products(settings) == products(usual)


def test_concurrency_does_not_change_a_byte(provider: Provider, settings: Settings, tmp_path: Path) -> None:
    provider.settings.latency_s, provider.settings.sigma = 0.02, 1.0
    one = settings.model_copy(update={"max_concurrency": 1, "outputs_dir": str(tmp_path / "one")})
    many = settings.model_copy(update={"max_concurrency": 40, "outputs_dir": str(tmp_path / "many")})
    for each in (one, many):
        make_run(each)
    assert products(one) == products(many)


def test_a_run_killed_in_the_middle_goes_on_where_it_was(provider: Provider, settings: Settings, tmp_path: Path) -> None:
    provider.settings.latency_s = 0.05
    script = "import sys; from tests.build import *; generate(Settings.of(**__import__('json').loads(sys.argv[1])))"
    settings = settings.model_copy(update={"num_seeds": 20})
    child = subprocess.Popen([sys.executable, "-c", script, settings.model_dump_json()], cwd=PROJECT_ROOT)
    while provider.calls < 20 and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert child.returncode == -signal.SIGKILL
    provider.settings.latency_s = 0
    made = generate(settings)
    assert made.done == 40 and made.replayed > 0
    assert provider.stats()["repeated"] <= settings.max_concurrency * 5 // 4, "in flight, or answered and not yet on the disk"
    fresh = settings.model_copy(update={"outputs_dir": str(tmp_path / "fresh")})
    generate(fresh)
    assert Run(fresh).generated.read_bytes() == Run(settings).generated.read_bytes()


def test_a_torn_write_costs_at_most_the_replies_it_tore(provider: Provider, settings: Settings) -> None:
    generate(settings)
    run = Run(settings)
    with sqlite3.connect(run.journal) as writer:  # still open, as at a crash: the last commits are in the write-ahead log only
        writer.execute("UPDATE reply SET seconds = seconds + 1")
        writer.commit()
        log = run.journal.with_name("journal.sqlite-wal").read_bytes()
        whole = run.journal.read_bytes()
    writer.close()
    run.journal.write_bytes(whole)
    run.journal.with_name("journal.sqlite-wal").write_bytes(log[: len(log) // 2 + 7])
    made = generate(settings)
    assert (made.done, made.asked) == (6, 0)
    assert not list(run.dir.glob("journal.sqlite.corrupt-*"))


def test_changing_the_judge_asks_only_the_judge_again(same_provider: Provider, usual: Settings, settings: Settings) -> None:
    copy_run(usual, to=settings)
    made, judged = make_run(settings.model_copy(update={"judge_model": "claude-haiku-5-5"}))
    assert (made.asked, judged.asked) == (0, 6 + PLANTED)


def test_a_second_run_on_the_same_folder_is_refused(provider: Provider, settings: Settings) -> None:
    with held_by_another_process(Run(settings)), pytest.raises(RunError, match="another run is at work"):
        generate(settings)


@pytest.mark.parametrize("fault", ["429", "429_retry_after", "529", "500", "503", "drop", "invalid_json", "empty", "out_of_bounds"])
def test_no_sample_is_lost_to_a_transient_fault(fault: str, provider: Provider, settings: Settings) -> None:
    provider.settings.fault_for = lambda request, attempt: fault if attempt == 1 else None
    provider.settings.retry_after = 0.05
    made, judged = make_run(settings.model_copy(update={"num_seeds": 1, "samples_per_seed": 1}))
    assert (made.done, judged.done) == (1, 1)


def test_a_hanging_connection_is_given_up_and_asked_again(provider: Provider, settings: Settings) -> None:
    provider.settings.script = ["hang"]
    made = generate(settings.model_copy(update={"timeout_s": 0.5}))
    assert made.done == made.total


def test_an_absurdly_long_retry_after_parks_nobody_for_a_day(
    provider: Provider, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.llm.ask.LONGEST_WAIT_S", 0.2)
    provider.settings.retry_after = 86_400
    provider.settings.script = ["429_retry_after"] * 3
    assert generate(settings).done == 6


def test_a_cut_answer_is_asked_again_with_more_room(provider: Provider, settings: Settings) -> None:
    provider.settings.script = ["cut"]
    generate(settings.model_copy(update={"num_seeds": 1, "samples_per_seed": 1, "max_tokens": 4000}))
    asked = [request.body["max_tokens"] for request in provider.requests if request.path == "/v1/messages"]
    assert asked == [4000, 8000, 4000]


def test_a_refused_call_is_counted_and_never_resent(provider: Provider, settings: Settings) -> None:
    provider.settings.fault_for = lambda request, attempt: "refusal" if stage_of(request) == "gold" else None
    provider.settings.refusal_category = "frontier_llm"
    settings = settings.model_copy(update={"min_call_success": 0.0})
    for _ in range(2):
        made = generate(settings)
        assert {(failure.stage, failure.reason) for failure in made.failures} == {("gold", "refusal")}
        assert "frontier_llm" in made.failures[0].detail
    assert provider.calls == 12


def test_attempts_on_invalid_answers_are_bounded_and_the_reason_is_kept(provider: Provider, settings: Settings) -> None:
    provider.settings.answer = lambda request: {"response": ""} if stage_of(request) == "gold" else None
    settings = settings.model_copy(update={"num_seeds": 1, "samples_per_seed": 1})
    with pytest.raises(RunFailed, match="Only 0 of 1 samples could be made"):
        generate(settings)
    [failure] = failures(Run(settings))
    assert (failure.stage, failure.reason) == ("gold", "invalid_answer")
    assert provider.calls == 1 + 3


def test_verdicts_with_wrong_ids_leave_the_sample_unjudged(provider: Provider, settings: Settings) -> None:
    generate(settings)
    gate(settings)
    verdict = {"rubric_id": "r99", "reasoning": "", "evidence": "", "met": True}
    provider.settings.answer = lambda request: {"verdicts": [verdict], "strengths": [], "weaknesses": [], "quality_score": 5}
    judged = judge(settings.model_copy(update={"min_call_success": 0.0}))
    assert judged.done == 0
    assert {failure.reason for failure in judged.failures} == {"invalid_answer"}
    assert "r99" in judged.failures[0].detail


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("402", "Check the account's billing"),
        ("403", "may not do this"),
        ("404", "Check that MODEL"),
        ("spend_limit", "spending limit"),
        ("429_spend_limit", "spending limit"),
    ],
)
def test_a_permanent_error_stops_the_run_with_one_line(fault: str, said: str, provider: Provider, settings: Settings) -> None:
    provider.settings.fault_for = lambda request, attempt: fault
    with pytest.raises(ProviderError, match=said) as stopped:
        generate(settings)
    assert "\n" not in str(stopped.value)


def test_a_wrong_key_stops_before_anything_is_asked(provider: Provider, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "wrong-key")
    with pytest.raises(ProviderError, match="Check ANTHROPIC_API_KEY"):
        generate(settings)
    assert provider.calls == 0


def test_a_missing_key_says_where_to_put_one(settings: Settings) -> None:
    with pytest.raises(ProviderError, match=r"set ANTHROPIC_API_KEY in the environment or in \.env"):
        generate(settings.model_copy(update={"provider": "anthropic"}))


def test_an_unreachable_host_is_one_clear_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(ProviderError, match=r"127\.0\.0\.1:9.* can't be reached .*Check ANTHROPIC_BASE_URL"):
        generate(settings)


def test_an_unknown_model_is_named(provider: Provider, settings: Settings) -> None:
    provider.settings.unknown_models = {"claude-opus-5-5"}
    with pytest.raises(ProviderError, match="`claude-opus-5-5` is unknown"):
        generate(settings)


def test_a_retired_model_is_named(provider: Provider, settings: Settings) -> None:
    provider.settings.retired = {"claude-sonnet-5-5"}
    with pytest.raises(ProviderError, match="`claude-sonnet-5-5` is retired"):
        generate(settings)


def test_a_model_without_structured_outputs_is_named(provider: Provider, settings: Settings) -> None:
    provider.settings.no_structured_outputs = {"claude-opus-5-5"}
    with pytest.raises(ProviderError, match="no structured outputs"):
        generate(settings)


def test_an_endpoint_without_a_models_page_is_taken_at_its_word(provider: Provider, settings: Settings) -> None:
    provider.settings.models_endpoint = False
    assert generate(settings).done == 6


def test_a_model_without_a_listed_price_needs_one(provider: Provider, settings: Settings) -> None:
    unlisted = settings.model_copy(update={"model": "some-model"})
    with pytest.raises(PriceError, match="PRICE_USD_PER_MTOK"):
        generate(unlisted)
    assert generate(unlisted.model_copy(update={"price_usd_per_mtok": "2/10"})).done == 6


def test_the_budget_is_never_passed_and_the_rest_is_counted(cap_alone: None, provider: Provider, settings: Settings) -> None:
    poor = settings.model_copy(update={"num_seeds": 12, "budget_usd": 0.35, "min_call_success": 0.0})
    made = generate(poor)
    assert 0 < made.done < 24
    assert made.cost_usd <= 0.35
    assert {failure.reason for failure in made.failures} == {"over_budget"}
    rich = generate(poor.model_copy(update={"budget_usd": 5.0}))
    assert rich.done == 24 and rich.replayed >= 2 * made.done


def test_the_key_is_in_no_file_of_a_run(provider: Provider, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-very-secret-0815")
    provider.settings.faults = {"refusal": 0.3}
    make_run(settings.model_copy(update={"min_call_success": 0.0}))
    for path in Run(settings).dir.rglob("*"):
        assert path.is_dir() or b"very-secret" not in path.read_bytes(), path


def test_a_corrupt_journal_is_set_aside_and_reported(provider: Provider, settings: Settings) -> None:
    run = Run(settings)
    run.dir.mkdir(parents=True)
    run.journal.write_bytes(b"not a database, and long enough to be looked at" * 100)
    made = generate(settings)
    assert made.done == 6
    assert any("corrupt" in remark for remark in made.remarks)
    assert list(run.dir.glob("journal.sqlite.corrupt-*"))


def test_the_manifest_says_what_a_kept_sample_cost(provider: Provider, settings: Settings) -> None:
    _, judged = make_run(settings)
    manifest = json.loads(Run(settings).manifest.read_text())
    kept = len(Run(settings).finetune.read_text().splitlines())
    assert manifest["filtering"]["kept"] == kept > 0
    assert manifest["filtering"]["cost_usd_a_kept_sample"] == pytest.approx(judged.cost_usd / kept, abs=1e-6)
    assert sum(line["cost_usd"] for line in manifest["judging"]["ledger"]) == pytest.approx(judged.cost_usd, abs=1e-5)


def test_a_reply_is_in_the_journal_with_what_it_cost(provider: Provider, settings: Settings) -> None:
    made = generate(settings)
    with sqlite3.connect(Run(settings).journal) as connection:
        paid, tokens_in, tokens_out = connection.execute(
            "SELECT SUM(cost_usd), SUM(input + cache_read + cache_write), SUM(output) FROM reply"
        ).fetchone()
    assert paid == pytest.approx(made.cost_usd)
    assert tokens_in > 0 and tokens_out > 0


def test_fewer_seeds_than_asked_for_are_reused_and_the_run_says_so(provider: Provider, settings: Settings, seed_file: SeedFile) -> None:
    twelve = replace(seed_file, seeds=seed_file.seeds[:12])
    settings = settings.model_copy(update={"num_seeds": 14, "samples_per_seed": 1})
    assert generate(settings, twelve).done == 14
    assert "14 seeds were asked for and 12 are usable" in Plan(settings, twelve, {}).remarks[0]
    assert [sample.metadata.seed_row for sample in samples(Run(settings))][12:] == [1, 2]


def test_how_the_seed_file_was_read_is_a_remark_of_the_plan(settings: Settings, seed_file: SeedFile, topics: Topics) -> None:
    in_windows_1252 = replace(seed_file, remarks=("seeds.csv was read as Windows-1252.",))
    assert Plan(settings, in_windows_1252, topics).remarks == ["seeds.csv was read as Windows-1252."]


def test_a_plan_that_was_read_with_other_settings_is_refused_before_anything_is_made(
    provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    plan = Plan(settings, seed_file, topics)
    with pytest.raises(KitError, match="read with another subjects, random_seed: run the cell with read_plan again"):
        generate_samples(Run(settings.model_copy(update={"random_seed": 9, "subjects": ("ecology",)})), plan)
    assert not provider.requests


def test_the_rubrics_are_not_shown_to_the_tutor_unless_asked(provider: Provider, settings: Settings) -> None:
    generate(settings)
    [first, *_] = samples(Run(settings))
    golds = [request.body["messages"][0]["content"] for request in provider.requests if stage_of_body(request.body) == "gold"]
    assert golds and not any(rubric.criteria in text for rubric in first.metadata.rubrics for text in golds)


def stage_of_body(body: dict | None) -> str:
    fields = (body or {}).get("output_config", {}).get("format", {}).get("schema", {}).get("properties", {})
    return "gold" if "response" in fields else ""


def test_samples_that_were_made_with_other_settings_are_replaced_with_a_remark(provider: Provider, settings: Settings) -> None:
    generate(settings)
    assert generate(settings).remarks == ()
    smaller = generate(settings.model_copy(update={"num_seeds": 1, "replace": True}))
    assert "This folder held a run with other settings (num_seeds)" in smaller.remarks[0]
    assert smaller.asked == 0


def test_what_belongs_to_other_samples_goes_when_they_are_made_anew(same_provider: Provider, usual: Settings, settings: Settings) -> None:
    of = copy_run(usual, to=settings)
    run = Run(of)
    results = [run.evaluations, run.filtered, run.finetune, run.statistics, run.validation, *run.dataset_files()[:1]]
    assert all(path.exists() for path in results)
    generate(of)
    assert all(path.exists() for path in results), "the samples are the same"
    generate(of.model_copy(update={"model": "claude-haiku-5-5"}))
    assert not any(path.exists() for path in results)
    with pytest.raises(KitError, match="has not been filtered yet"):
        run.require_filtered()


@pytest.mark.parametrize("why", ["over_budget", "refusal"])
def test_a_pass_that_falls_short_leaves_what_an_earlier_one_made(
    why: str, cap_alone: None, same_provider: Provider, usual: Settings, settings: Settings
) -> None:
    """The samples, and all that came of them, would be gone, and nothing would have come of it."""
    of = copy_run(usual, to=settings)
    results = Run(of).generated, Run(of).finetune, Run(of).evaluations, Run(of).report, Run(of).manifest
    before = [path.read_bytes() for path in results if path.exists()]
    same_provider.settings.faults = {"refusal": 1.0} if why == "refusal" else {}
    with pytest.raises(RunFailed, match="hold more samples and were left as they are"):
        generate(of.model_copy(update={"model": "claude-haiku-5-5", "budget_usd": 0.01 if why == "over_budget" else 5.0}))
    assert [path.read_bytes() for path in results if path.exists()] == before


def test_a_subject_without_topics_is_told(settings: Settings, seed_file: SeedFile, topics: Topics) -> None:
    plan = Plan(settings.model_copy(update={"subjects": ("knitting", "finance")}), seed_file, topics)
    assert "topics_csv has no topics for knitting" in plan.remarks[0]


def test_a_benchmark_that_cannot_be_used_is_told_before_a_call_is_paid(provider: Provider, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "benchmark.csv").touch()
    with pytest.raises(KitError, match="the file is empty"):
        generate(settings.model_copy(update={"benchmark_csv": str(tmp_path / "benchmark.csv")}))
    assert not provider.requests


def test_a_run_that_failed_for_its_budget_says_what_to_raise(cap_alone: None, provider: Provider, settings: Settings) -> None:
    with pytest.raises(RunFailed, match="Raise BUDGET_USD"):
        generate(settings.model_copy(update={"budget_usd": 0.01}))


def test_without_a_key_the_embedded_model_does_not_replace_what_another_model_wrote(
    provider: Provider, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(settings)
    written = Run(settings).generated.read_bytes()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "")
    with pytest.raises(RunFailed, match=r"the embedded model would replace its text\. Set the key"):
        generate(settings)
    assert Run(settings).generated.read_bytes() == written
