"""A run's folder has one holder at a time, its records belong together, and what an earlier version wrote still opens."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.analyze.compare import compare_runs
from lib.analyze.sheet import write_sheet
from lib.commands.notebooks import run_notebooks
from lib.commands.rerun import again, changed_since
from lib.commands.summary import summary
from lib.errors import KitError
from lib.filter.keep import judged_samples, planted_failures
from lib.filter.topup import top_up_samples
from lib.llm.tally import RunFailed
from lib.publish.card import write_card
from lib.publish.dataset import write_dataset
from lib.publish.splits import split_samples
from lib.run.files import RunError, write_jsonl
from lib.run.lock import held, notebooks_held
from lib.run.manifest import read_manifest, update_manifest
from lib.run.records import kept_samples, made_samples, save_figure, write_report
from lib.run.run import Run, recorded_settings
from lib.schema import Decision, Failure
from lib.settings import PROJECT_ROOT, Settings
from lib.validate.check import validate_file
from tests.build import (
    FolderBusy,
    a_planted,
    a_sample,
    an_evaluation,
    copy_run,
    count,
    filter_run,
    gate,
    generate,
    held_by_another_process,
    judge,
    keep,
    rubrics_of,
    tables,
    validate_run,
    write_run,
)
from tests.provider import Provider

unhurried = hypothesis_settings(deadline=None, max_examples=60)
IDS = ("seed001_var1", "seed001_var2", "seed002_var1")


def digests(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ── one holder at a time ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def three(settings: Settings) -> Settings:
    """A run of three samples whose files were written by hand, filtered."""
    samples = [a_sample(name, rubrics=rubrics_of(5, 5, 1)) for name in IDS]
    evaluations = [an_evaluation(sample, failed=["r2"] if sample.id == IDS[1] else []) for sample in samples]
    write_run(settings, samples, evaluations, planted=[a_planted(samples[0], failed=["r1"]), a_planted(samples[2])])
    update_manifest(Run(settings), "generation", values={"settings": settings.model_dump(mode="json"), "finished": "2026-12-01"})
    update_manifest(Run(settings), "judging", values={"settings": settings.model_dump(mode="json")})
    keep(settings)
    count(settings)
    return settings


WRITERS: dict[str, Callable[[Settings], object]] = {
    "gating": gate,
    "judging": judge,
    "filtering": keep,
    "statistics": count,
    "topping up": lambda settings: top_up_samples(Run(settings.model_copy(update={"top_up": True}))),
    "the review sheet": lambda settings: write_sheet(Run(settings)),
    "the data set": lambda settings: write_dataset(Run(settings), split_samples(Run(settings))),
    "the card": lambda settings: write_card(tables(settings), split_samples(Run(settings))),
    "the validator's report": lambda settings: write_report(Run(settings), validate_file(Run(settings).finetune)),
    "the manifest": lambda settings: update_manifest(Run(settings), "people", values={}),
    "a figure": lambda settings: save_figure(Run(settings), None, name="overview"),  # type: ignore[arg-type]  # refused before it is drawn
}


@pytest.mark.parametrize("name", WRITERS)
def test_while_another_process_is_at_work_nothing_in_the_folder_is_changed(name: str, three: Settings) -> None:
    with held_by_another_process(Run(three)):
        before = digests(Run(three).dir)
        with pytest.raises(RunError, match="another run is at work in this folder"):
            WRITERS[name](three)
        assert digests(Run(three).dir) == before


def test_a_second_topping_up_is_refused_before_the_firsts_samples_are_gone(three: Settings) -> None:
    write_jsonl(Run(three).repaired, [a_sample(f"{IDS[1]}_repaired", origin="repair", repaired_from=IDS[1])])
    with held_by_another_process(Run(three)), pytest.raises(RunError, match="another run is at work"):
        top_up_samples(Run(three.model_copy(update={"top_up": True})))
    assert len(Run(three).repaired.read_text("utf-8").splitlines()) == 1


def test_between_the_steps_of_topping_up_no_other_run_gets_in(three: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(_: Run, **_step: str) -> None:
        with held_by_another_process(Run(three)):
            raise AssertionError("it got in")

    monkeypatch.setattr("lib.filter.topup._judged_anew", step)
    with pytest.raises(FolderBusy):
        top_up_samples(Run(three.model_copy(update={"top_up": True})))


@pytest.mark.parametrize("name", ["gating", "judging", "filtering", "statistics", "the review sheet"])
def test_a_misspelt_run_leaves_no_folder(name: str, settings: Settings) -> None:
    with pytest.raises(RunError, match="is not there yet: run 01_generate with the same RUN first"):
        WRITERS[name](settings)
    assert not Run(settings).dir.exists()


def test_topping_up_that_is_off_needs_no_hold(three: Settings) -> None:
    with held_by_another_process(Run(three)):
        assert isinstance(top_up_samples(Run(three)), str)


def test_what_holds_the_folder_may_call_what_holds_it_and_then_lets_go(settings: Settings) -> None:
    run = Run(settings)
    with held(run), held(run):
        pass
    with held_by_another_process(run), pytest.raises(RunError), held(run):
        pass
    with pytest.raises(ZeroDivisionError), held(run):
        raise ZeroDivisionError
    with held_by_another_process(run):
        pass


def test_a_second_make_leaves_the_executed_copies_of_the_first_alone(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    run = Run(settings)
    (run.dir / "notebooks").mkdir(parents=True)
    copy = run.dir / "notebooks" / "01_generate.failed.ipynb"
    copy.write_text("the first's", "utf-8")
    script = (
        "import sys; from pathlib import Path; from lib.run.folder import Folder; from lib.run.lock import notebooks_held\n"
        "with notebooks_held(Folder(Path(sys.argv[1]))): print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(run.dir)]
    with subprocess.Popen(command, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout and other.stdout.readline() == b"\n"
        assert run_notebooks(["01_generate"], [f"outputs_dir={settings.outputs_dir}", "run=t"]) == 1
    assert "another run is at work in this folder" in capfd.readouterr().err
    assert copy.read_text("utf-8") == "the first's"


def test_a_notebook_holds_the_folder_while_the_one_that_started_it_holds_the_copies(settings: Settings) -> None:
    with notebooks_held(Run(settings)), held_by_another_process(Run(settings)):
        pass


WATCH = """
import fcntl, os, sys
from pathlib import Path
from lib.analyze.figures import plot_scores
from lib.run.records import save_figure
from lib.analyze.sheet import write_sheet
from lib.filter.topup import top_up_samples
from lib.run import Run
from lib.settings import Settings
from tests.build import make_run, tables, validate_run

settings = Settings.of(**__import__("json").loads(sys.argv[1]))
folder = str(settings.run_dir) + os.sep
found, busy = set(), []

def watch(event, args):
    writes = event == "open" and (set(args[1] or "") & set("wax+") or args[2] & (os.O_WRONLY | os.O_RDWR))
    if busy or not (writes or event in ("os.rename", "os.remove", "sqlite3.connect")):
        return
    path = str(args[0])
    if not path.startswith(folder) or path.endswith(".lock"):
        return
    busy.append(event)
    lock = os.open(folder + ".lock", os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found.add(f"{event} {path}")
    except BlockingIOError:
        found.add("held")
    finally:
        os.close(lock)
        busy.clear()

sys.addaudithook(watch)
make_run(settings)
validate_run(settings)
top_up_samples(Run(settings))
write_sheet(Run(settings))
save_figure(Run(settings), plot_scores(tables(settings)), name="scores")
print(sorted(found))
"""


def test_no_file_of_a_run_is_opened_renamed_or_removed_without_the_hold(provider: Provider, settings: Settings) -> None:
    values = settings.model_copy(update={"num_seeds": 1, "top_up": True, "target_kept": 3}).model_dump_json()
    done = subprocess.run([sys.executable, "-c", WATCH, values], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['held']"


# ── manifest and failures are sound before anything is paid ──────────────────────────────────────────────────────────

DAMAGED_MANIFESTS = ["", "{", '{"generation": {"settings', "[]", "3", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', "\x00" * 9]
WRONG_MANIFESTS = [
    '{"generation": 3}',
    '{"generation": []}',
    '{"generation": {"settings": []}}',
    '{"generation": {"counts": {"total": "many"}}}',
    '{"filtering": {"threshold": 80}}',
    '{"judging": {"ledger": [{"cost_usd": "a lot"}]}}',
    '{"gating": {"not_checked": 4}}',
]


@pytest.mark.parametrize("text", DAMAGED_MANIFESTS + WRONG_MANIFESTS)
def test_a_damaged_manifest_is_told_before_a_call_is_paid_and_its_remedy_helps(text: str, provider: Provider, settings: Settings) -> None:
    run = Run(settings)
    run.dir.mkdir(parents=True)
    run.manifest.write_text(text, "utf-8")
    with pytest.raises(RunError, match=r"manifest\.json: .* Delete the file and run 01_generate and 02_filter again") as caught:
        generate(settings)
    assert "\n" not in str(caught.value)
    assert provider.calls == 0
    run.manifest.unlink()
    assert generate(settings).done == 6


@pytest.mark.parametrize("line", ["{", '{"id": "a"}', "", '["a"]', "\x00", '{"id": 1, "stage": "gold", "reason": "", "detail": ""}'])
def test_a_bad_line_among_the_failures_is_told_before_a_call_is_paid_and_its_remedy_helps(
    line: str, provider: Provider, settings: Settings
) -> None:
    run = Run(settings)
    write_jsonl(run.failures, [Failure(id="a", stage="gold", reason="refusal", detail="")])
    with run.failures.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(RunError, match=r"failures\.jsonl, line 2: .* Delete this line, or the whole file"):
        generate(settings)
    assert provider.calls == 0
    run.failures.unlink()
    assert generate(settings).done == 6
    run.failures.write_text(line + "\n", "utf-8")
    gate(settings)
    calls = provider.calls
    with pytest.raises(RunError, match=r"failures\.jsonl, line 1: "):
        judge(settings)
    assert provider.calls == calls


KEYS = st.sampled_from(
    "generation judging gating filtering people dataset top_up settings counts total done failed provider finished threshold of ledger "
    "cost_usd inputs_sha256 prompt_sha256 not_checked review_csv repaired added why seeds num_seeds subjects model".split()
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANY_JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12)


@hypothesis_settings(deadline=None, max_examples=60)
@given(value=st.dictionaries(KEYS, ANY_JSON, max_size=5))
def test_whatever_stands_in_the_manifest_every_reader_of_it_ends_in_a_value_or_in_one_clear_error(
    value: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = Settings.of(outputs_dir=str(tmp_path_factory.getbasetemp()), run="manifest")
    run = Run(settings)
    run.dir.mkdir(exist_ok=True)
    run.manifest.write_text(json.dumps(value), "utf-8")
    run.statistics.write_text('{"total_samples": 0, "kept_samples": 0, "removed_samples": 0, "unjudged_samples": 0}', "utf-8")
    run.validation.write_text('{"examples": 0, "errors": 0, "warnings": 0}', "utf-8")
    readers: list[Callable[[], object]] = [
        lambda: Run(settings).as_made.settings,
        lambda: Run(settings).as_filtered.settings,
        lambda: recorded_settings(run),
        lambda: summary(Run(settings)),
        lambda: changed_since(run.dir, again(run.dir, [])),
        lambda: compare_runs(tables(settings.model_copy(update={"compare_with": "other"}))),
    ]
    for read in readers:
        try:
            read()
        except KitError:
            pass


@pytest.mark.parametrize("name", ["filtering_statistics.json", "validation_report.json"])
@pytest.mark.parametrize(
    ("text", "said"), [("", "not a whole JSON object"), ("{}", "is missing"), ('{"kept_samples": "x"}', "missing|fit")]
)
def test_the_summary_names_a_file_that_is_damaged_and_what_writes_it(
    name: str, text: str, said: str, usual: Settings, settings: Settings
) -> None:
    settings = copy_run(usual, to=settings)
    assert "6 planned = 6 made" in summary(Run(settings))
    (Run(settings).dir / name).write_text(text, "utf-8")
    with pytest.raises(RunError, match=rf"{name}: .*({said}).* Run 0\d_\w+ again: it writes the file anew\."):
        summary(Run(settings))


# ── records that don't belong together ───────────────────────────────────────────────────────────────────────────────


def change(path: Path, how: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    records = how([json.loads(line) for line in path.read_text("utf-8").splitlines()])
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")


def without_a_verdict(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    del records[0]["verdicts"][1]
    return records


def with_other_rubrics(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    records[1]["verdicts"][0]["rubric_id"] = "r9"
    return records


def with_the_id(name: str) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda records: [*records[:-1], records[-1] | {"id": name}]


def with_one_rubric_twice(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    records[2]["metadata"]["rubrics"][1]["id"] = "r1"
    return records


HAND_EDITED: dict[str, tuple[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]]], str]] = {
    "a sample twice": (
        "tutoring_samples_generated.jsonl",
        lambda records: [*records, records[0]],
        r"generated\.jsonl, line 4: there is a sample seed001_var1",
    ),
    "criteria of one id": (
        "tutoring_samples_generated.jsonl",
        with_one_rubric_twice,
        r"generated\.jsonl, line 3: two criteria of seed002_var1 are called r1",
    ),
    "samples in another order": (
        "tutoring_samples_generated.jsonl",
        lambda records: records[::-1],
        r"evaluations\.jsonl, line 2: seed001_var2 stands out of",
    ),
    "an evaluation twice": (
        "evaluations.jsonl",
        lambda records: [*records, records[0]],
        r"evaluations\.jsonl, line 4: seed001_var1 stands out of",
    ),
    "evaluations in another order": (
        "evaluations.jsonl",
        lambda records: [records[1], records[0], records[2]],
        r"evaluations\.jsonl, line 2: seed001_var1 stands out of",
    ),
    "an evaluation of no sample": (
        "evaluations.jsonl",
        with_the_id("seed009_var1"),
        r"evaluations\.jsonl, line 3: seed009_var1 stands out of",
    ),
    "a verdict missing": ("evaluations.jsonl", without_a_verdict, r"evaluations\.jsonl, line 1: seed001_var1 has verdicts on r1, r3"),
    "a verdict on an unknown criterion": (
        "evaluations.jsonl",
        with_other_rubrics,
        r"evaluations\.jsonl, line 2: seed001_var2 has verdicts on r9, r2, r3",
    ),
    "a gated sample of no run": ("gated.jsonl", lambda _: [{"id": "x", "status": "dropped"}], r"gated\.jsonl: x is no sample of this run"),
    "a gated sample twice": (
        "gated.jsonl",
        lambda _: [{"id": IDS[0], "status": "dropped"}] * 2,
        r"gated\.jsonl, line 2: seed001_var1 stands twice",
    ),
}


@pytest.mark.parametrize("name", HAND_EDITED)
def test_files_that_do_not_belong_together_are_told_by_file_line_and_id(name: str, three: Settings) -> None:
    file, how, said = HAND_EDITED[name]
    change(Run(three).dir / file, how)
    with pytest.raises(RunError, match=rf"{said}.* again") as caught:
        keep(three)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (lambda records: [*records, records[0]], "line 3: .* stands twice"),
        (lambda records: [records[0] | {"sample_id": "seed009_var1"}], "line 1: seed009_var1 is no sample"),
        (
            lambda records: [records[0] | {"evaluation": without_a_verdict([records[0]["evaluation"]])[0]}],
            "line 1: .* has verdicts on r1, r3",
        ),
    ],
)
def test_planted_failures_that_do_not_belong_to_the_run_are_told(
    how: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], said: str, three: Settings
) -> None:
    assert tables(three).catches.caught.hits == 1
    change(Run(three).planted, how)
    with pytest.raises(RunError, match=rf"planted\.jsonl, {said}"):
        list(planted_failures(Run(three)))


def test_a_filtering_that_failed_in_the_middle_does_not_count_as_one(three: Settings) -> None:
    assert Run(three).as_filtered.settings.critical_pass_threshold == 0.8
    Run(three).dropped.unlink()
    Run(three).dropped.mkdir()
    with pytest.raises(RunError, match=r"dropped\.jsonl: can't be written"):
        keep(three.model_copy(update={"critical_pass_threshold": 0.5}))
    with pytest.raises(RunError, match="has not been filtered yet"):
        _ = Run(three).as_filtered.settings


def test_a_kept_sample_that_stands_twice_is_told(three: Settings) -> None:
    change(Run(three).filtered, lambda records: [*records, records[0]])
    with pytest.raises(RunError, match=r"filtered\.jsonl, line 3: there is a sample seed001_var1 before this one"):
        split_samples(Run(three))
    with pytest.raises(RunError, match="before this one"):
        list(kept_samples(Run(three)))


def test_a_sample_that_topping_up_made_and_the_plan_has_too_is_told(three: Settings) -> None:
    write_jsonl(Run(three).topped_up, [a_sample(IDS[0])])
    with pytest.raises(RunError, match=r"topped_up\.jsonl, line 1: there is a sample seed001_var1"):
        list(made_samples(Run(three)))


@unhurried
@given(order=st.lists(st.integers(0, 2), max_size=4))
def test_evaluations_count_where_they_stand_in_order_once_and_nowhere_else(
    order: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Right is: strictly rising. What is missing is unjudged, anything else an error."""
    settings = Settings.of(outputs_dir=str(tmp_path_factory.getbasetemp()), run="order")
    samples = [a_sample(name) for name in IDS]
    write_run(settings, samples, [an_evaluation(samples[place]) for place in order])
    try:
        keep(settings)
        found = list(judged_samples(Run(settings)))
    except RunError:
        assert order != sorted(set(order))
    else:
        assert order == sorted(set(order))
        assert [place for place, judged in enumerate(found) if judged.evaluation] == order
        assert [judged.decision.status for judged in found] == ["kept" if place in order else "unjudged" for place in range(3)]


# ── checkpoints ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_checkpoints_are_named_for_the_file_they_are_parts_of_and_earlier_ones_go(provider: Provider, settings: Settings) -> None:
    run = Run(settings)
    generate(settings.model_copy(update={"num_seeds": 30}))
    names = {f"tutoring_samples_generated_checkpoint_{number}.jsonl" for number in (1, 2)}
    assert {path.name for path in run.dir.glob("*checkpoint*")} == names
    for name in ("_checkpoint_1.jsonl", "_checkpoint_7.jsonl", "tutoring_samples_generated_checkpoint_9.jsonl", "my_checkpoint_1.jsonl"):
        (run.dir / name).write_text("{}\n", "utf-8")
    generate(settings.model_copy(update={"replace": True}))
    assert {path.name for path in run.dir.glob("*checkpoint*")} == {
        "tutoring_samples_generated_checkpoint_1.jsonl",
        "my_checkpoint_1.jsonl",
    }
    assert run.checkpoint(1).read_bytes() == run.generated.read_bytes()


# ── what an earlier version wrote ────────────────────────────────────────────────────────────────────────────────────


def as_an_earlier_version_wrote_it(run: Run) -> None:
    """Take away what the first versions did not write, and give the checkpoints their old names."""
    manifest = json.loads(run.manifest.read_text("utf-8"))
    for section in ("generation", "judging"):
        del manifest[section]["finished"]
        for name in ("show_rubrics_to_tutor", "votes", "planted_share", "top_up", "target_kept", "compare_with", "validation_share"):
            del manifest[section]["settings"][name]
        for name in ("verify_scenarios", "second_vote", "min_quality_score", "drop_factual_errors", "ban_is_veto", "control_share"):
            del manifest[section]["settings"][name]
        manifest[section]["settings"] |= {"timeout_s": 0.5, "checkpoint_every": 25}  # out of today's bounds; a parameter that is gone
    del manifest["judging"]["planted"], manifest["gating"], manifest["filtering"], manifest["dataset"]
    run.manifest.write_text(json.dumps(manifest), "utf-8")
    run.checkpoint(1).rename(run.dir / "_checkpoint_1.jsonl")
    for path in (run.parameters, run.dir / ".lock"):
        path.unlink()
    change(run.generated, lambda records: [without(record, "origin", "repaired_from") for record in records])


def without(record: dict[str, Any], *names: str) -> dict[str, Any]:
    return record | {"metadata": {name: value for name, value in record["metadata"].items() if name not in names}}


@pytest.fixture
def earlier(usual: Settings, settings: Settings) -> Settings:
    """Return a run of an earlier version, with today's defaults but for the votes and copies that it did not ask for."""
    as_an_earlier_version_wrote_it(Run(copy_run(usual, to=settings)))
    return Settings.of(run=settings.run, outputs_dir=settings.outputs_dir, second_vote=False, subtle_share=0, harmless_share=0)


def test_an_earlier_versions_run_opens_is_filtered_validated_and_summed_up(same_provider: Provider, earlier: Settings) -> None:
    assert [sample.id for sample in made_samples(Run(earlier))][:2] == ["seed001_var1", "seed001_var2"]
    assert (recorded_settings(Run(earlier)).num_seeds, recorded_settings(Run(earlier)).timeout_s) == (3, 600.0)
    assert Run(earlier).as_made.settings.planned_samples == 6
    with pytest.raises(RunError, match="has not been filtered yet"):
        _ = Run(earlier).as_filtered.settings
    filter_run(earlier)
    validate_run(earlier)
    assert "6 planned = 6 made + 0 failed" in summary(Run(earlier))
    assert same_provider.calls == 0
    assert Run(earlier).parameters.exists()


def test_what_an_earlier_version_did_not_do_is_not_done_when_its_run_is_topped_up(earlier: Settings) -> None:
    assert recorded_settings(Run(earlier)).verify_scenarios is False
    manifest = json.loads(Run(earlier).manifest.read_text("utf-8"))
    manifest["judging"]["settings"]["verify_scenarios"] = True  # as a topping up with VERIFY_SCENARIOS=true records it
    Run(earlier).manifest.write_text(json.dumps(manifest), "utf-8")
    assert recorded_settings(Run(earlier)).verify_scenarios is False
    assert Run(earlier).as_made.settings.verify_scenarios is False


def test_an_earlier_versions_run_is_made_again_and_its_checkpoints_get_their_new_names(
    same_provider: Provider, earlier: Settings, settings: Settings
) -> None:
    assert generate(settings).done == 6
    assert same_provider.calls == 0
    assert [path.name for path in Run(earlier).dir.glob("*checkpoint*")] == ["tutoring_samples_generated_checkpoint_1.jsonl"]
    assert again(Run(earlier).dir, []).samples_per_seed == 2


def test_a_run_is_made_again_under_a_name_of_its_own_with_what_is_changed(usual: Settings) -> None:
    folder = Run(usual).dir
    assert again(folder, []) == usual.model_copy(update={"run": "t_again"})
    changed = again(folder, ["RUN=other", "VOTES=3"])
    assert (changed.run, changed.votes, changed.num_seeds) == ("other", 3, usual.num_seeds)


def test_a_section_that_is_not_there_names_the_notebook_that_writes_it(settings: Settings) -> None:
    update_manifest(Run(settings), "generation", values={"settings": settings.model_dump(mode="json")})
    with pytest.raises(RunError, match=r"nothing of the judging yet\. Run 02_filter"):
        summary(Run(settings))
    assert read_manifest(Run(settings)).generation.counts == {}


def test_a_run_is_counted_as_unjudged_where_no_evaluation_stands(settings: Settings) -> None:
    write_run(settings, [a_sample(IDS[0]), a_sample(IDS[1])], gated=[Decision(id=IDS[1], status="dropped", reason="special_token")])
    keep(settings)
    assert [judged.decision.status for judged in judged_samples(Run(settings))] == ["unjudged", "dropped"]


def test_a_pass_that_is_interrupted_lets_go_of_the_folder(settings: Settings) -> None:
    with pytest.raises(RunFailed), held(Run(settings)):
        raise RunFailed("Interrupted")
    with held_by_another_process(Run(settings)):
        pass


# ── a long plan ──────────────────────────────────────────────────────────────────────────────────────────────────────

LONG_PLAN = """
import sys, tracemalloc
import anthropic  # heavy to import: not to be measured
import lib.generate.samples
from lib.errors import KitError
from lib.generate.inputs import read_plan
from lib.generate.plan import planned_cells
from lib.run import Run
from lib.settings import Settings

async def first_call(*_, **__):
    raise KitError("the first call")

lib.generate.samples.make_sample = first_call
settings = Settings.of(num_seeds=50_000, samples_per_seed=1, budget_usd=1e6, outputs_dir=sys.argv[1])
plan = read_plan(Run(settings))
tracemalloc.start()
assert planned_cells(settings, settings.planned_samples).total() == 50_000
try:
    lib.generate.samples.generate_samples(Run(settings), plan)
except KitError as error:
    print(error, tracemalloc.get_traced_memory()[1] // 2**20, sep="\\n")
"""


def test_a_long_plan_takes_little_memory_before_the_first_call(provider: Provider, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LONG_PLAN, str(tmp_path)], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    said, peak_mb = done.stdout.splitlines()[-2:]
    assert said == "the first call"
    assert int(peak_mb) < 20  # the slots as a list would take 80
