"""Near misses are rewritten once, then cells that fell short are refilled: to the target or to the budget's end, in balance."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.commands.__main__ import main
from lib.filter.keep import judged_samples
from lib.filter.repair import near_misses
from lib.filter.topup import TopUp, short_cells, top_up_samples
from lib.generate.plan import Cell, Refills, plan, planned_cells
from lib.generate.topics import Topics
from lib.run.files import RunError
from lib.run.records import made_samples
from lib.run.run import Run, recorded_settings
from lib.schema import Sample
from lib.settings import Settings
from tests.answers import CRITERION, RESPONSE, Request, draw
from tests.build import a_sample, a_seed, an_evaluation, copy_run, count, generate, keep, make_run, rubrics_of, write_run
from tests.conftest import small_settings
from tests.provider import Provider

unhurried = hypothesis_settings(deadline=None)  # the machine may be busy
PRODUCTS = ("tutoring_samples_repaired.jsonl", "tutoring_samples_topped_up.jsonl", "tutoring_finetune_openai.jsonl", "evaluations.jsonl")


def strict(share_failed: float) -> Callable[[Request], dict[str, Any] | None]:
    """Judge by a draw: so many responses fail exactly one criterion. All criteria are critical."""

    def answer(request: Request) -> dict[str, Any] | None:
        if "verdicts" not in (request.schema or {})["properties"]:
            return None
        ids = CRITERION.findall(request.user_texts[-1])
        failed = sorted(ids)[0] if draw("judge", request.body_hash) < share_failed else ""
        verdicts = [{"rubric_id": name, "reasoning": "REASON", "evidence": "", "met": name != failed} for name in ids]
        return {"verdicts": verdicts, "strengths": [], "weaknesses": [], "quality_score": 4}

    return answer


@pytest.fixture(scope="module")
def fell_short(lasting_provider: Provider, seeds_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A run of 24 samples of which a good part fell short, by a judge that fails what has a critical first criterion in half the cases."""
    lasting_provider.settings.answer = strict(0.5)
    usual = small_settings(tmp_path_factory.mktemp("fell short"), seeds_csv)
    settings = usual.model_copy(update={"num_seeds": 12, "critical_pass_threshold": 0.9, "top_up": True})
    make_run(settings)
    return settings


@dataclass(frozen=True)
class ToppedUp:
    settings: Settings
    done: TopUp
    repair_prompts: list[str]


@pytest.fixture(scope="module")
def topped_up(fell_short: Settings, lasting_provider: Provider) -> ToppedUp:
    """A copy of that run that has been topped up, and how its repairs were asked for. It is there to be read."""
    prompts: list[str] = []
    judge = strict(0.5)

    def answer(request: Request) -> dict[str, Any] | None:
        if "<objections>" in request.user_texts[-1]:
            prompts.append(request.user_texts[-1])
        return judge(request)

    lasting_provider.settings.answer = answer
    settings = copy_run(fell_short, to=fell_short.model_copy(update={"run": "topped up"}))
    done = top_up_samples(Run(settings))
    assert done is not None
    return ToppedUp(settings, done, prompts)


@pytest.fixture
def provider(same_provider: Provider) -> Provider:
    same_provider.settings.answer = strict(0.5)
    return same_provider


@pytest.fixture
def filtered(provider: Provider, fell_short: Settings, settings: Settings) -> Settings:
    """A copy of the run that fell short, to be changed."""
    return copy_run(fell_short, to=settings)


@pytest.fixture
def complete(provider: Provider, topped_up: ToppedUp, settings: Settings) -> Settings:
    """A copy of the run that was topped up, to be changed."""
    return copy_run(topped_up.settings, to=settings)


def kept(settings: Settings) -> list[Sample]:
    return [judged.sample for judged in judged_samples(Run(settings)) if judged.is_kept]


# ── a whole top-up ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_off_by_default_and_then_asks_nothing(provider: Provider, filtered: Settings) -> None:
    off = filtered.model_copy(update={"top_up": False})
    assert "To do it, set top_up = True" in str(top_up_samples(Run(off)))
    assert not provider.requests


def test_the_target_is_reached_and_every_cell_has_what_the_plan_gave_it(fell_short: Settings, topped_up: ToppedUp) -> None:
    done = topped_up.done
    assert (done.kept_before, done.kept, done.why) == (len(kept(fell_short)), 24, "the target is reached")
    cells = Counter((sample.metadata.subject, sample.metadata.misconception_type) for sample in kept(topped_up.settings))
    assert cells == planned_cells(topped_up.settings, 24)


def test_made_is_kept_and_dropped_and_unjudged_after_it_too(topped_up: ToppedUp) -> None:
    found, done = count(topped_up.settings), topped_up.done
    assert found["total_samples"] == 24 + done.repaired + done.added
    assert found["total_samples"] == found["kept_samples"] + found["removed_samples"] + found["unjudged_samples"]
    made = {row["origin"]: row["made"] for row in found["by_origin"]}
    assert made == {"plan": 24, "repair": done.repaired, "top_up": done.added}
    assert len(Run(topped_up.settings).finetune.read_text("utf-8").splitlines()) == 24


def test_lineage_says_what_was_repaired_and_what_was_added(topped_up: ToppedUp) -> None:
    originals = {sample.id: sample for sample in made_samples(Run(topped_up.settings))}
    for sample in originals.values():
        about = sample.metadata
        if about.origin == "repair":
            assert about.repaired_from == sample.id.removesuffix("_repaired")
            assert about.question == originals[about.repaired_from].metadata.question
            assert sample.response != originals[about.repaired_from].response
            assert {"repair"} <= set(about.models) & set(about.prompt_sha256)
        assert sample.id.startswith("topup_") == (about.origin == "top_up")


def test_what_is_kept_is_kept_once(topped_up: ToppedUp) -> None:
    questions = [sample.metadata.question for sample in kept(topped_up.settings)]
    assert len(questions) == len(set(questions))


def test_a_repair_sees_the_judges_reasons_and_not_the_criteria(fell_short: Settings, topped_up: ToppedUp) -> None:
    prompts = topped_up.repair_prompts
    criteria = {rubric.criteria for sample in made_samples(Run(fell_short)) for rubric in sample.metadata.rubrics}
    assert prompts and all("- REASON" in prompt for prompt in prompts)
    assert not any(text in prompt for prompt in prompts for text in criteria)


def test_running_it_again_pays_nothing_and_writes_the_same_bytes(provider: Provider, topped_up: ToppedUp, complete: Settings) -> None:
    before = [(Run(complete).dir / name).read_bytes() for name in PRODUCTS]
    assert top_up_samples(Run(complete)) == topped_up.done
    assert provider.calls == 0
    assert [(Run(complete).dir / name).read_bytes() for name in PRODUCTS] == before


def test_a_larger_target_buys_only_the_difference(provider: Provider, topped_up: ToppedUp, complete: Settings) -> None:
    more = top_up_samples(Run(complete.model_copy(update={"target_kept": 30})))
    assert more is not None
    assert more.kept == 30
    assert provider.calls <= 4 * (more.added - topped_up.done.added)
    ids = [sample.id for sample in made_samples(Run(complete))]
    assert len(ids) == len(set(ids))


def test_the_planted_failures_stay_those_of_the_plan(fell_short: Settings, topped_up: ToppedUp) -> None:
    assert Run(topped_up.settings).planted.read_bytes() == Run(fell_short).planted.read_bytes()


def test_where_the_budget_ends_it_stops_says_so_and_keeps_what_it_has(filtered: Settings) -> None:
    spent = json.loads(Run(filtered).manifest.read_text())["filtering"]["cost_usd"]
    done = top_up_samples(Run(filtered.model_copy(update={"budget_usd": spent + 0.3})))
    assert done is not None
    assert done.why.startswith("budget_usd is reached")
    assert done.kept_before <= done.kept < 24
    assert json.loads(Run(filtered).manifest.read_text())["top_up"]["kept"] == done.kept


def test_a_judge_that_passes_nothing_ends_it_after_a_bounded_number_of_rounds(
    provider: Provider, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lib.filter.topup.MOST_ROUNDS", 3)
    judge = strict(0.0)

    def answer(request: Request) -> dict[str, Any] | None:
        if found := judge(request):
            found["verdicts"] = [verdict | {"met": False} for verdict in found["verdicts"]]
        return found

    provider.settings.answer = answer
    settings = settings.model_copy(update={"num_seeds": 1, "top_up": True})
    make_run(settings)
    done = top_up_samples(Run(settings))
    assert done is not None and (done.kept, done.rounds) == (0, 3)
    assert "3 rounds did not suffice" in done.why


def test_each_bar_says_which_step_of_topping_up_it_shows(
    provider: Provider, filtered: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.settings.answer = strict(1.0)
    make_run(filtered)
    capsys.readouterr()
    top_up_samples(Run(filtered))
    bars = list(dict.fromkeys(re.findall(r"Topping up, [^:]+: \w+", capsys.readouterr().out)))
    assert bars[:5] == [
        "Topping up, what there was: judged",
        "Topping up, near misses: repaired",
        "Topping up, with repairs: judged",
        "Topping up, round 1 of at most 8: made",
        "Topping up, round 1 of at most 8: judged",
    ]


def test_an_answer_that_stays_invalid_is_not_paid_for_in_every_round(provider: Provider, filtered: Settings) -> None:
    """Most of the added samples get verdicts on an invented id: each is asked for twice, once, however many rounds follow."""
    judge, asked = strict(0.0), Counter[str]()

    def answer(request: Request) -> dict[str, Any] | None:
        found = judge(request)
        response = RESPONSE.findall(request.user_texts[-1])[0] if found else ""
        if found and draw("odd", response) < 0.8:
            asked[response] += 1
            found["verdicts"][0]["rubric_id"] = "r99"
        return found

    provider.settings.answer = answer
    done = top_up_samples(Run(filtered))
    assert done is not None and done.rounds >= 2
    assert asked and set(asked.values()) == {2}


def test_topping_up_leaves_the_runs_recorded_settings_as_they_were(fell_short: Settings, topped_up: ToppedUp) -> None:
    before = recorded_settings(Run(fell_short)).min_call_success
    assert recorded_settings(Run(topped_up.settings)).min_call_success == before > 0


def test_seeds_that_have_changed_since_are_not_mixed_in(filtered: Settings) -> None:
    manifest = json.loads(Run(filtered).manifest.read_text())
    manifest["generation"]["inputs_sha256"]["seeds"] = "0" * 64
    Run(filtered).manifest.write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="has changed since the samples were made"):
        top_up_samples(Run(filtered))


def test_where_no_further_sample_can_be_made_it_stops_after_one_round(provider: Provider, filtered: Settings) -> None:
    provider.settings.faults = {"400": 1.0}
    done = top_up_samples(Run(filtered))
    assert done is not None and (done.rounds, done.added, done.kept) == (1, 0, done.kept_before)
    assert done.why.startswith("none of the last round's samples could be made (rejected)")


def test_what_it_will_take_is_said_before(fell_short: Settings) -> None:
    said = str(top_up_samples(Run(fell_short.model_copy(update={"top_up": False}))))
    assert f"{len(kept(fell_short))} of 24 wanted samples are kept" in said
    assert "budget_usd leaves $" in said


def test_generating_anew_takes_away_what_topping_up_added(complete: Settings) -> None:
    assert "top_up" in json.loads(Run(complete).manifest.read_text())
    generate(complete)
    assert len(list(made_samples(Run(complete)))) == 24
    assert "top_up" not in json.loads(Run(complete).manifest.read_text())


# ── its parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_near_miss_failed_one_critical_criterion_and_no_more(settings: Settings) -> None:
    samples = [a_sample(name, rubrics=rubrics_of(5, 5, 5, -5, 1)) for name in "abc"] + [a_sample("d", origin="repair", repaired_from="x")]
    failed = (["r2", "r5"], ["r1", "r4"], ["r5"], ["r1"])
    evaluations = [an_evaluation(sample, failed=names) for sample, names in zip(samples, failed, strict=True)]
    write_run(settings, samples, evaluations)
    keep(settings)
    misses = list(near_misses(Run(settings)))
    assert [(miss.sample.id, miss.objections) for miss in misses] == [("a", ("It says so.",))]


CELLS = st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), st.integers(0, 5), max_size=9)


@unhurried
@given(short=CELLS, count=st.integers(0, 50))
def test_wherever_refilling_ends_no_cell_lacks_two_more_than_another_that_got_some(short: dict[Cell, int], count: int) -> None:
    lacking: Counter[Cell] = Counter(short)
    got = Counter(short_cells(lacking, count=count))
    assert got.total() == min(count, lacking.total())
    left = lacking - got
    assert all(got[cell] <= lacking[cell] for cell in got)
    assert all(max(left.values(), default=0) - left[cell] <= 1 for cell in got)


def test_a_refilled_slot_is_the_same_whatever_other_cells_are_refilled(topics: Topics) -> None:
    settings, seeds = Settings.of(num_seeds=250, samples_per_seed=4), [a_seed(row) for row in range(1, 251)]
    cell, other = ("ecology", "overgeneralization"), ("ecology", "how_concepts_relate")
    alone, among = Refills(settings, seeds=seeds, topics=topics), Refills(settings, seeds=seeds, topics=topics)
    among.next(other)
    assert [alone.next(cell), alone.next(cell)] == [among.next(cell), among.next(cell)]


def test_refilled_slots_have_topics_that_the_plan_did_not_use_in_that_subject(topics: Topics) -> None:
    """40 topics a subject, 28 planned: the next ones are fresh."""
    settings, seeds = Settings.of(num_seeds=196, samples_per_seed=4), [a_seed(row) for row in range(1, 197)]
    used = {slot.topic for slot in plan(settings, seeds=seeds, topics=topics) if slot.subject == "ecology"}
    refills = Refills(settings, seeds=seeds, topics=topics)
    fresh = [refills.next(("ecology", kind)).topic for kind in settings.misconception_types]
    assert len(set(fresh)) == 8 and not set(fresh) & used


def test_make_topup_runs_the_notebooks_that_take_their_settings_from_the_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    Run(settings).dir.mkdir(parents=True)
    given: list[str] = []
    monkeypatch.setattr("lib.commands.topup.run_notebooks", lambda _, pairs: given.extend(pairs) or 1)
    assert main(["topup", f"OUTPUTS_DIR={settings.outputs_dir}", "RUN=t", "BUDGET_USD=10"]) == 1
    assert given == [f"OUTPUTS_DIR={settings.outputs_dir}", "RUN=t", "BUDGET_USD=10", "top_up=true"]


def test_topping_up_a_run_that_is_not_there_is_one_line(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topup", f"OUTPUTS_DIR={settings.outputs_dir}", "RUN=tt"]) == 1
    assert "There is no run in" in capsys.readouterr().err
