"""A sample is kept when MORE than four fifths of its critical rubrics (weight 5 or -5) are satisfied, compared exactly."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.analyze.sheet import write_sheet
from lib.filter.keep import decide, drop_reason
from lib.run.files import RunError, read_jsonl, write_jsonl
from lib.run.manifest import update_manifest
from lib.run.run import Run
from lib.schema import Decision, Failure, Sample
from lib.settings import Settings
from tests.build import a_sample, an_evaluation, count, keep, rubrics_of, write_run

MINOR = 1
REASONS = ("ban_broken", "critical_rubrics_failed", "factual_error", "low_quality")
unhurried = hypothesis_settings(deadline=None)  # the machine may be busy


def reason(weights: list[int], failed: list[str], *, judged: dict[str, Any] | None = None, **changes: Any) -> str | None:
    """Return why a sample is dropped. `judged` holds further parts of the evaluation, and `changes` settings."""
    sample = a_sample(rubrics=rubrics_of(*weights))
    found = drop_reason(sample, an_evaluation(sample, failed=failed, **judged or {}), settings=Settings.of(**changes))
    return found[0] if found else None


# ── the decision ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_of_one_to_five_critical_rubrics_all_must_pass(count: int) -> None:
    """At best 4 of 5 pass when one fails, and 4/5 is not more than 4/5."""
    assert reason([5] * count, []) is None
    for failed in range(1, count + 1):
        assert reason([5] * count, [f"r{failed}"]) == "critical_rubrics_failed"


def test_of_six_critical_rubrics_one_may_fail_and_not_two() -> None:
    """5/6 = 0.833… > 0.8; 4/6 = 0.666…"""
    assert reason([5] * 6, ["r3"]) is None
    assert reason([5] * 6, ["r3", "r5"]) == "critical_rubrics_failed"


@pytest.mark.parametrize("fifths", [1, 2, 3, 20])
def test_exactly_four_fifths_are_not_enough(fifths: int) -> None:
    assert reason([5] * 5 * fifths, [f"r{number}" for number in range(1, fifths + 1)]) == "critical_rubrics_failed"
    assert reason([5] * 5 * fifths, [f"r{number}" for number in range(1, fifths)]) is None


def test_a_broken_ban_is_a_veto_whatever_the_share() -> None:
    """19 of 20 is 95 %."""
    assert reason([5, 5, 5, 5, -5], ["r5"]) == "ban_broken"
    assert reason([5] * 19 + [-5], ["r20"]) == "ban_broken"
    assert reason([5] * 19 + [-5], ["r20"], ban_is_veto=False) is None
    assert reason([5, -5], ["r2"], critical_pass_threshold=0.0) == "ban_broken"


def test_a_factual_error_that_the_judge_names_drops_the_sample_though_all_criteria_pass() -> None:
    wrong = {"weaknesses": ("factual_error",), "quality_score": 4}
    assert reason([5, 5], [], judged=wrong) == "factual_error"
    assert reason([5, 5], [], judged=wrong, drop_factual_errors=False) is None
    assert reason([5, 5], [], judged={"weaknesses": ("too_long",)}) is None


@pytest.mark.parametrize(("score", "dropped"), [(1, True), (2, True), (3, False), (4, False), (5, False)])
def test_a_quality_score_of_1_or_2_drops_the_sample_though_all_criteria_pass(score: int, dropped: bool) -> None:
    assert (reason([5, 5], [], judged={"quality_score": score}) == "low_quality") == dropped
    assert reason([5, 5], [], judged={"quality_score": score}, min_quality_score=1) is None


def test_the_first_reason_that_holds_is_named() -> None:
    bad = {"weaknesses": ("factual_error",), "quality_score": 1}
    assert reason([5, -5], ["r1", "r2"], judged=bad) == "ban_broken"
    assert reason([5, -5], ["r1"], judged=bad) == "critical_rubrics_failed"
    assert reason([5, -5], [], judged=bad) == "factual_error"
    assert reason([5, -5], [], judged=bad | {"weaknesses": ()}) == "low_quality"


@unhurried
@given(failed=st.sets(st.sampled_from(["r2", "r3", "r4"])))
def test_rubrics_of_weight_1_never_decide(failed: set[str]) -> None:
    assert reason([5, MINOR, MINOR, MINOR], sorted(failed)) is None
    assert reason([5, MINOR, MINOR, MINOR], ["r1", *sorted(failed)]) == "critical_rubrics_failed"


def test_a_sample_without_critical_rubric_is_dropped_for_that() -> None:
    assert reason([MINOR, MINOR], []) == "critical_rubrics_failed"


def test_a_threshold_of_zero_asks_for_one_critical_rubric_to_pass() -> None:
    assert reason([5, 5], ["r1"], critical_pass_threshold=0.0) is None
    assert reason([5, 5], ["r1", "r2"], critical_pass_threshold=0.0) == "critical_rubrics_failed"


@unhurried
@given(verdicts=st.lists(st.booleans(), min_size=1, max_size=40), bans=st.integers(0, 40))
def test_a_sample_is_kept_if_and_only_if_five_times_the_passed_exceed_four_times_all(verdicts: list[bool], bans: int) -> None:
    weights = [-5 if number < bans else 5 for number in range(len(verdicts))]
    failed = [f"r{number}" for number, met in enumerate(verdicts, start=1) if not met]
    assert (reason(weights, failed, ban_is_veto=False) is None) == (5 * sum(verdicts) > 4 * len(verdicts))


@unhurried
@given(verdicts=st.lists(st.booleans(), min_size=1, max_size=12), hundredths=st.integers(0, 99))
def test_any_threshold_is_compared_exactly(verdicts: list[bool], hundredths: int) -> None:
    failed = [f"r{number}" for number, met in enumerate(verdicts, start=1) if not met]
    kept = reason([5] * len(verdicts), failed, critical_pass_threshold=hundredths / 100) is None
    assert kept == (100 * sum(verdicts) > hundredths * len(verdicts))


def test_the_detail_of_a_drop_says_how_many_pass_and_which_failed() -> None:
    sample = a_sample(rubrics=rubrics_of(5, 5, 1, -5))
    found = drop_reason(sample, an_evaluation(sample, failed=["r2", "r3", "r4"]), settings=Settings(ban_is_veto=False))
    assert found is not None
    assert "1 of 3" in found[1]
    assert found[1].endswith("r2, r4")


# ── what becomes of a sample ─────────────────────────────────────────────────────────────────────────────────────────


def test_an_unjudged_sample_is_neither_kept_nor_dropped() -> None:
    assert decide(a_sample(), None, settings=Settings(), why_unjudged="truncated") == Decision(
        id="seed001_var1", status="unjudged", reason="truncated"
    )
    assert decide(a_sample(), None, settings=Settings()).reason == "not_judged"


@unhurried
@given(weights=st.lists(st.sampled_from([5, -5, 1]), min_size=1, max_size=9), data=st.data())
def test_a_dropped_sample_has_one_reason_and_a_kept_one_none(weights: list[int], data: st.DataObject) -> None:
    sample = a_sample(rubrics=rubrics_of(*weights))
    failed = data.draw(st.sets(st.sampled_from([rubric.id for rubric in sample.metadata.rubrics])))
    decision = decide(sample, an_evaluation(sample, failed=sorted(failed)), settings=Settings())
    assert decision.id == sample.id
    assert (decision.status == "dropped") == (decision.reason in REASONS)
    assert (decision.status == "kept") == (decision.reason == "")


@pytest.fixture
def run_with_four(settings: Settings) -> Settings:
    """Four made samples: kept, failed, refused by the judge, never judged."""
    samples = [a_sample(f"seed00{number}_var1", rubrics=rubrics_of(5, 1)) for number in (1, 2, 3, 4)]
    refused = Failure(id="seed003_var1", stage="judge", reason="refusal", detail="")
    return write_run(settings, samples, [an_evaluation(samples[0]), an_evaluation(samples[1], failed=["r1"])], failures=[refused])


def test_every_made_sample_ends_in_exactly_one_file(run_with_four: Settings) -> None:
    keep(run_with_four)
    run = Run(run_with_four)
    kept = [sample.id for sample in read_jsonl(run.filtered, Sample, made_by="")]
    rest = [(decision.id, decision.status, decision.reason) for decision in read_jsonl(run.dropped, Decision, made_by="")]
    assert kept == ["seed001_var1"]
    assert rest == [
        ("seed002_var1", "dropped", "critical_rubrics_failed"),
        ("seed003_var1", "unjudged", "refusal"),
        ("seed004_var1", "unjudged", "not_judged"),
    ]


def test_the_training_file_has_a_line_for_each_kept_sample(run_with_four: Settings) -> None:
    keep(run_with_four)
    assert len(Run(run_with_four).finetune.read_text("utf-8").splitlines()) == 1


def test_filtering_again_with_another_threshold_writes_the_files_anew(run_with_four: Settings) -> None:
    keep(run_with_four)
    write_jsonl(Run(run_with_four).evaluations, [])
    keep(run_with_four)
    assert Run(run_with_four).finetune.read_text("utf-8") == ""
    assert len(list(read_jsonl(Run(run_with_four).dropped, Decision, made_by=""))) == 4


# ── what was decided is what is shown ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def at_half(settings: Settings) -> Settings:
    """A run filtered at 0.5: one of two critical criteria fails in b, which is not more than half."""
    samples = [a_sample(name, rubrics=rubrics_of(5, 5)) for name in "ab"]
    settings = settings.model_copy(update={"critical_pass_threshold": 0.5})
    write_run(settings, samples, [an_evaluation(samples[0]), an_evaluation(samples[1], failed=["r1"])])
    keep(settings)
    count(settings)
    return settings


def test_a_run_is_shown_at_the_threshold_it_was_filtered_with(at_half: Settings) -> None:
    asked = Settings.of(run=at_half.run, outputs_dir=at_half.outputs_dir)
    assert Run(asked).as_filtered.settings.critical_pass_threshold == 0.5


def test_another_threshold_needs_another_filtering(at_half: Settings) -> None:
    asked = Settings.of(run=at_half.run, outputs_dir=at_half.outputs_dir, critical_pass_threshold=0.9)
    with pytest.raises(RunError, match=r"was filtered with critical_pass_threshold = 0\.5, not 0\.9: run 02_filter again"):
        _ = Run(asked).as_filtered.settings


def test_another_rule_needs_another_filtering(at_half: Settings) -> None:
    where = {"run": at_half.run, "outputs_dir": at_half.outputs_dir}
    for rule, other in {"min_quality_score": 2, "drop_factual_errors": False, "ban_is_veto": False}.items():
        with pytest.raises(RunError, match=f"was filtered with {rule} = "):
            _ = Run(Settings.of(**where, **{rule: other})).as_filtered.settings


def test_a_run_of_a_version_that_had_the_threshold_only_is_shown_by_that(at_half: Settings) -> None:
    """What was kept then is not dropped by the rules of today."""
    run = Run(at_half)
    manifest = json.loads(run.manifest.read_text("utf-8"))
    del manifest["filtering"]["rules"]
    run.manifest.write_text(json.dumps(manifest), "utf-8")
    settings = Run(Settings.of(run=at_half.run, outputs_dir=at_half.outputs_dir)).as_filtered.settings
    assert (settings.critical_pass_threshold, settings.min_quality_score, settings.ban_is_veto) == (0.5, 1, False)


def test_what_was_not_filtered_is_not_shown(settings: Settings) -> None:
    with pytest.raises(RunError, match="has not been filtered yet: run 02_filter"):
        _ = Run(settings).as_filtered.settings


def test_a_data_set_of_an_earlier_filtering_goes_and_what_else_lies_there_stays(at_half: Settings) -> None:
    folder = Run(at_half).dataset
    (folder / "data").mkdir(parents=True)
    for name in ("train.jsonl", "README.md", "data/train.parquet", "LICENCE", ".gitattributes"):
        (folder / name).write_text("")
    keep(at_half)
    assert sorted(path.name for path in folder.rglob("*") if path.is_file()) == [".gitattributes", "LICENCE"]


@pytest.mark.parametrize("name", ["generated", "repaired", "evaluations", "gated"])
def test_what_was_made_or_judged_anew_must_be_filtered_anew(at_half: Settings, name: str) -> None:
    path = getattr(Run(at_half), name)
    path.write_text((path.read_text() if path.exists() else "") + "\n")
    with pytest.raises(RunError, match="has changed since it was filtered: run 02_filter again"):
        _ = Run(Settings.of(run=at_half.run, outputs_dir=at_half.outputs_dir)).as_filtered.settings


def test_labels_that_were_read_once_are_read_again_by_what_comes_after(at_half: Settings, tmp_path: Path) -> None:
    write_sheet(Run(at_half))
    sheet = tmp_path / "labels.csv"
    sheet.write_bytes(Run(at_half).review.read_bytes().replace(b'"",""\r\n', b'"yes",""\r\n'))
    count(at_half.model_copy(update={"review_csv": str(sheet)}))
    asked = Settings.of(run=at_half.run, outputs_dir=at_half.outputs_dir)
    assert Run(asked).as_filtered.settings.review_csv == str(sheet)
    sheet.unlink()
    assert Run(asked).as_filtered.settings.review_csv == ""


def test_labels_can_be_left_out_again_and_go_when_samples_are_judged_anew(at_half: Settings, tmp_path: Path) -> None:
    write_sheet(Run(at_half))
    sheet = tmp_path / "labels.csv"
    sheet.write_bytes(Run(at_half).review.read_bytes().replace(b'"",""\r\n', b'"yes",""\r\n'))
    count(at_half.model_copy(update={"review_csv": str(sheet)}))
    asked = {"run": at_half.run, "outputs_dir": at_half.outputs_dir}
    assert Run(Settings.of(**asked, review_csv="")).as_filtered.settings.review_csv == ""
    update_manifest(Run(at_half), "judging", values={})
    assert Run(Settings.of(**asked)).as_filtered.settings.review_csv == ""
