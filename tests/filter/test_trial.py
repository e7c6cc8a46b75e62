"""An edited prompt is tried on a few samples, old beside new, with its price before it."""

from pathlib import Path

import pytest

from lib.filter.judge import ONLY_TRIED
from lib.filter.trial import OFF, TrialError, try_prompt
from lib.filter.tried import Trial
from lib.prompts import rendering
from lib.run.run import Run
from lib.settings import Settings
from tests.build import copy_run, generate, judge, make_run
from tests.provider import Provider


@pytest.fixture
def of(same_provider: Provider, usual: Settings, settings: Settings) -> Settings:
    """A judged run of six samples, made by the provider that is still there."""
    return copy_run(usual, to=settings)


@pytest.fixture
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of prompts that a test can edit."""
    folder = tmp_path / "prompts"
    folder.mkdir()
    for path in rendering.TEMPLATES.glob("*.md"):
        (folder / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(rendering, "TEMPLATES", folder)
    return folder


def edit(templates: Path, name: str) -> None:
    path = templates / f"{name}_system.md"
    path.write_text(f"{path.read_text('utf-8')}\nUse short sentences.\n", "utf-8")


def tried(of: Settings, prompt: str, *, ids: tuple[str, ...] = ()) -> Trial:
    found = try_prompt(Run(of.model_copy(update={"edited_prompt": prompt})), ids=ids)
    assert isinstance(found, Trial)
    return found


def test_an_edited_gold_prompt_answers_five_samples_anew_beside_their_old_responses(
    of: Settings, templates: Path, same_provider: Provider
) -> None:
    edit(templates, "gold")
    found = tried(of, "gold")
    assert len(found.tried) == len(found.rows()) == 5 and same_provider.calls == 10, "a response and a judgement each"
    assert all(one.before.response == one.sample.response != one.after.response for one in found.tried)
    assert found.cost_usd > 0 and f"(${found.cost_usd:.2f})" in str(found)


def test_the_same_samples_are_tried_each_time_and_paid_once(of: Settings, templates: Path, same_provider: Provider) -> None:
    edit(templates, "gold")
    first, calls = tried(of, "gold"), same_provider.calls
    again = tried(of, "gold")
    assert [one.sample.id for one in first.tried] == [one.sample.id for one in again.tried]
    assert (again.cost_usd, same_provider.calls) == (0, calls)


def test_an_edited_judges_prompt_judges_the_same_responses_anew(of: Settings, templates: Path, same_provider: Provider) -> None:
    edit(templates, "judge")
    found = tried(of, "judge")
    assert same_provider.calls == 5
    assert all(one.before.response == one.after.response for one in found.tried)
    assert all(one.before.evaluation.prompt_sha256 != one.after.evaluation.prompt_sha256 for one in found.tried)


def test_a_chosen_sample_is_tried_alone(of: Settings, templates: Path) -> None:
    edit(templates, "gold")
    assert [one.sample.id for one in tried(of, "gold", ids=("seed002_var1",)).tried] == ["seed002_var1"]


def test_the_price_is_shown_before_anything_is_asked(of: Settings, templates: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(templates, "gold")
    tried(of, "gold")
    assert "Trying the gold prompt, about $0." in capsys.readouterr().out.partition("0/5")[0]


def test_a_run_that_is_then_made_with_the_prompt_does_not_pay_for_them_again(of: Settings, templates: Path) -> None:
    edit(templates, "gold")
    tried(of, "gold")
    assert generate(of).asked == 1, "the sixth sample"


def test_off_by_default_it_only_says_how(of: Settings, same_provider: Provider) -> None:
    assert try_prompt(Run(of)) == OFF
    assert same_provider.calls == 0


@pytest.mark.parametrize("name", ["gold", "judge"])
def test_a_prompt_that_was_not_edited_is_not_tried(of: Settings, name: str, same_provider: Provider) -> None:
    with pytest.raises(TrialError, match=f"lib/prompts/{name}_system.md and {name}_user.md are as they were"):
        tried(of, name)
    assert same_provider.calls == 0


def test_an_unknown_id_says_where_ids_are_found(of: Settings) -> None:
    with pytest.raises(TrialError, match=r"seed999_var1: no such sample in .*report.html"):
        tried(of, "gold", ids=("seed999_var1",))


def test_before_judging_there_is_nothing_to_hold_the_judges_prompt_against(provider: Provider, settings: Settings, templates: Path) -> None:
    generate(settings)
    edit(templates, "judge")
    with pytest.raises(TrialError, match="No sample has been judged yet"):
        tried(settings, "judge")


def test_within_the_budget(of: Settings, templates: Path, same_provider: Provider) -> None:
    edit(templates, "gold")
    with pytest.raises(TrialError, match="over_budget"):
        tried(of.model_copy(update={"budget_usd": 0.0001}), "gold")
    assert same_provider.calls == 0


def test_a_prompt_edited_while_python_runs_is_seen(settings: Settings, provider: Provider, templates: Path) -> None:
    """In JupyterLab the kernel that made the samples also tries the prompt."""
    make_run(settings)
    edit(templates, "gold")
    assert len(tried(settings, "gold").tried) == 5


def test_trying_the_judges_prompt_judges_nothing_else(of: Settings, templates: Path, same_provider: Provider) -> None:
    """In a headless run of notebook 2, the cell after the trial would judge all samples with the edited prompt."""
    edit(templates, "judge")
    before = Run(of).evaluations.read_bytes()
    assert judge(of.model_copy(update={"edited_prompt": "judge"})) == ONLY_TRIED
    assert (Run(of).evaluations.read_bytes(), same_provider.calls) == (before, 0)


def test_a_trial_asks_live_where_the_run_was_made_in_batches(of: Settings, templates: Path, same_provider: Provider) -> None:
    edit(templates, "gold")
    tried(of.model_copy(update={"mode": "batch"}), "gold")
    assert same_provider.calls == 10 and not any("batches" in request.path for request in same_provider.requests)
