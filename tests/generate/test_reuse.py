"""A run takes the scenarios of another run, so that both answer the same questions and only what was changed is paid for."""

import json
from pathlib import Path

import pytest

from lib.errors import KitError
from lib.llm.ledger import ledger
from lib.prompts import rendering
from lib.run.files import read_jsonl
from lib.run.records import made_samples
from lib.run.run import Run
from lib.schema import DroppedScenario, Sample
from lib.settings import Settings
from tests.build import copy_run, filter_run, generate, make_run
from tests.generate.test_verify import half_dropped
from tests.provider import Provider


def again(settings: Settings, **changes: object) -> Settings:
    """Return the settings of a second run that takes its scenarios from the first."""
    return settings.model_copy(update={"run": "again", "scenarios_from": settings.run} | changes)


@pytest.fixture
def edited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A changed prompt of the gold response."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    for path in rendering.TEMPLATES.glob("*.md"):
        text = path.read_text("utf-8")
        (folder / path.name).write_text(f"{text}\nUse short sentences.\n" if path.name == "gold_system.md" else text, "utf-8")
    monkeypatch.setattr(rendering, "TEMPLATES", folder)


def exchange(sample: Sample) -> tuple[str, ...]:
    about = sample.metadata
    return sample.id, about.question, about.explanation, about.follow_up, *(rubric.criteria for rubric in about.rubrics)


def stages(settings: Settings) -> dict[str, float]:
    """Return what the run paid for each stage."""
    return {line.stage: line.cost_usd for line in ledger(Run(settings).journal) if line.stage != "canary"}


def test_after_a_change_of_the_gold_prompt_the_scenarios_are_the_same_and_cost_nothing(
    provider: Provider, settings: Settings, edited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(rendering, "TEMPLATES", Path(rendering.__file__).parent)
        generate(settings)
    made = generate(again(settings))
    assert (made.done, made.asked, made.replayed) == (6, 6, 0), "one gold response each"
    one, two = (list(made_samples(Run(each))) for each in (settings, again(settings)))
    assert list(map(exchange, one)) == list(map(exchange, two))
    assert all(old.metadata.prompt_sha256["gold"] != new.metadata.prompt_sha256["gold"] for old, new in zip(one, two, strict=True))
    assert set(stages(again(settings))) == {"gold"}


def test_what_was_not_changed_is_neither_asked_nor_paid_again(provider: Provider, settings: Settings) -> None:
    make_run(settings)
    made, judged = make_run(again(settings))
    assert (made.asked, judged.asked) == (0, 0)
    assert made.cost_usd == 0 and set(stages(again(settings)).values()) == {0.0}
    assert Run(settings).finetune.read_bytes() == Run(again(settings)).finetune.read_bytes()


def test_another_writer_answers_the_same_questions(provider: Provider, settings: Settings) -> None:
    generate(settings)
    other = again(settings, model="claude-haiku-5-5")
    assert generate(other).asked == 6
    first = next(made_samples(Run(other)))
    assert first.metadata.models == {"scenario": "claude-opus-5-5", "gold": "claude-haiku-5-5"}


def test_a_scenario_that_was_dropped_there_is_dropped_here_without_a_call(provider: Provider, settings: Settings) -> None:
    verified = settings.model_copy(update={"verify_scenarios": True, "num_seeds": 6})
    provider.settings.answer = half_dropped
    generate(verified)
    provider.settings.answer = None
    made = generate(again(verified))
    dropped = [list(read_jsonl(Run(each).dropped_scenarios, DroppedScenario, made_by="")) for each in (verified, again(verified))]
    assert dropped[0] == dropped[1] != [] and sum(made.dropped.values()) == len(dropped[0])


def test_a_slot_that_the_other_run_has_not_is_made_as_usual(provider: Provider, settings: Settings) -> None:
    generate(settings)
    assert generate(again(settings, num_seeds=4)).asked == 4, "two samples of two calls"


def test_a_plan_may_be_the_beginning_of_the_others(provider: Provider, settings: Settings) -> None:
    generate(settings)
    assert generate(again(settings, num_seeds=1)).done == 2


def test_the_run_is_judged_again_after_the_other_is_gone(provider: Provider, settings: Settings, tmp_path: Path) -> None:
    generate(settings)
    generate(again(settings))
    for path in Run(settings).dir.iterdir():
        path.unlink()
    assert filter_run(again(settings)).done == 6


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"scenarios_from": "nobody"}, "there is no finished run nobody in .*make runs"),
        ({"run": "t"}, "t is this run. Give this one another RUN name"),
        ({"random_seed": 9}, "t has another plan .random_seed was 0 and is 9., so its scenarios do not fit"),
    ],
)
def test_scenarios_that_do_not_fit_are_one_line(provider: Provider, settings: Settings, changes: dict[str, object], why: str) -> None:
    generate(settings)
    asked = provider.calls
    with pytest.raises(KitError, match=f"scenarios_from: {why}"):
        generate(again(settings, **changes))
    assert provider.calls == asked


def test_a_damaged_scenario_names_its_line(same_provider: Provider, usual: Settings, settings: Settings) -> None:
    of = copy_run(usual, to=settings)
    lines = Run(of).generated.read_text("utf-8").splitlines(keepends=True)
    record = json.loads(lines[1])
    del record["metadata"]["question"]
    Run(of).generated.write_text("".join([lines[0], json.dumps(record) + "\n", *lines[2:]]), "utf-8")
    with pytest.raises(KitError, match=r"tutoring_samples_generated.jsonl, line 2: metadata.question is missing"):
        generate(again(of))


def test_a_damaged_journal_of_the_other_run_is_named_as_such(provider: Provider, settings: Settings) -> None:
    generate(settings)
    Run(settings).journal.write_bytes(b"no database" * 500)
    with pytest.raises(KitError, match=r"/t/journal.sqlite can't be read .* the run that scenarios_from names"):
        generate(again(settings))


def test_a_journal_that_is_gone_is_told(provider: Provider, settings: Settings) -> None:
    generate(settings)
    Run(settings).journal.unlink()
    assert "is asked and paid for again" in generate(again(settings)).remarks[0]
