"""Independent checkers read the files too: what this kit writes they all take, and what they overlook this kit finds."""

from pathlib import Path

import pytest

from lib.generate.seeds import SeedFile
from lib.generate.topics import Topics
from lib.run.run import Run
from lib.settings import Settings
from tests.build import gate, generate, judge, keep
from tests.crosscheck.__main__ import of_crafted, opinions
from tests.crosscheck.checkers import RIGHT
from tests.provider import Provider

OTHERS = ("parallelogram", "datasets", "mistral-common")
Opinions = dict[str, tuple[str, dict[str, str]]]


@pytest.fixture(scope="module")
def crafted() -> Opinions:
    return {name: (code, said) for name, code, said in of_crafted()}


def test_a_run_s_training_file_is_right_by_every_checker(
    provider: Provider, settings: Settings, seed_file: SeedFile, topics: Topics
) -> None:
    provider.settings.p_true = 1.0
    settings = settings.model_copy(update={"num_seeds": 8})
    generate(settings)
    gate(settings)
    judge(settings)
    keep(settings)
    assert set(opinions(Run(settings).finetune).values()) == {RIGHT}


def test_every_crafted_fault_is_found_under_its_own_code(crafted: Opinions) -> None:
    missed = {name: said["this kit, strict"] for name, (code, said) in crafted.items() if code not in said["this kit, strict"].split(", ")}
    assert {name: said for name, said in missed.items() if said != RIGHT} == {}
    assert list(missed) == [name for name, (code, _) in crafted.items() if not code]


def test_what_is_right_here_is_right_for_the_others(crafted: Opinions) -> None:
    right = [said for code, said in crafted.values() if not code]
    assert len(right) >= 5
    assert all(said[name] == RIGHT for said in right for name in OTHERS)


@pytest.mark.parametrize("name", ["no system message", "several turns", "another system prompt", "<|endoftext|> in an answer"])
def test_what_no_other_checker_sees_this_kit_finds(crafted: Opinions, name: str) -> None:
    _, said = crafted[name]
    assert [said[other] for other in OTHERS] == [RIGHT] * 3
    assert said["this kit, strict"] != RIGHT


@pytest.mark.parametrize("name", ["several turns", "a name", "a weight", "a tool call", "no system message", "content in parts"])
def test_the_general_form_takes_what_the_chat_format_allows(crafted: Opinions, name: str) -> None:
    assert crafted[name][1]["this kit, general"] == RIGHT


def test_the_table_has_at_least_forty_files(crafted: Opinions) -> None:
    assert len(crafted) >= 40


def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_text("[]\n")
    assert opinions(path)["this kit, strict"] == "not_object, too_few_examples"
