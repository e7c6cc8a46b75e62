"""Preference pairs stand on what the judge saw, on the side of their sample, and in the trainers' forms; rubric rewards too."""

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from lib.publish.pairs import pairs_of, preferences_of
from lib.publish.rewards import rubrics_of
from lib.run.files import make_folder, read_jsonl, write_jsonl
from lib.run.folder import Folder
from lib.run.manifest import read_manifest, update_manifest
from lib.run.run import Run
from lib.schema import CandidateAnswer, EvaluationRow, Sample
from lib.settings import Settings
from lib.validate.forms import validate_form
from tests.build import a_planted, a_sample, an_evaluation, keep, publish, write_run
from tests.build import rubrics_of as rubrics

CRITERIA = rubrics(5, 5, -5, 1)


def student(number: int, **about: Any) -> Sample:
    """Return a sample whose texts share no words with another's."""
    texts = {name: words(f"{name} {number}") for name in ("question", "explanation", "follow_up")}
    seeded = {"seed_prompt_sha256": f"{number:064}"}
    return a_sample(f"s{number:02}", rubrics=CRITERIA, response=reply(number), **texts | seeded | about)


def reply(number: int) -> str:
    return words(f"reply {number}")


def words(seed: str) -> str:
    """Return words of letters alone that no other seed shares, because numbers count as alike."""
    drawn = Random(seed)
    return " ".join("".join(drawn.choices("abcdefghij", k=7)) for _ in range(12))


@pytest.fixture
def run(settings: Settings) -> Settings:
    """Twelve kept samples, and one near miss that fails r1 with its repair, which meets everything."""
    samples = [student(number) for number in range(12)]
    miss = student(50)
    repaired = miss.with_response(
        "Better.", id="s50_repaired", metadata=miss.metadata.model_copy(update={"origin": "repair", "repaired_from": "s50"})
    )
    write_run(
        settings,
        [*samples, miss],
        [*map(an_evaluation, samples), an_evaluation(miss, failed=["r1"]), an_evaluation(repaired)],
        planted=[a_planted(samples[0], failed=["r1", "r2"])],
    )
    write_jsonl(Run(settings).repaired, [repaired])
    keep(settings)
    for section in ("generation", "judging"):
        update_manifest(
            Run(settings), section, values={"settings": settings.model_dump(mode="json"), "finished": "2026-11-28", "provider": "p"}
        )
    return settings.model_copy(update={"validation_share": 0.3})


def answered(settings: Settings, *failed: tuple[str, Sequence[str]]) -> None:
    """Let a candidate answer these samples, with these criteria not met."""
    folder = Folder(Run(settings).evaluation)
    make_folder(folder.dir)
    samples = {sample.id: sample for sample in (student(number) for number in range(12))}
    answers = [
        CandidateAnswer(
            id=f"{name}@base",
            row_id=name,
            candidate="base",
            model="base",
            response="Weak.",
            evaluation=an_evaluation(samples[name], failed=unmet),
        )
        for name, unmet in failed
    ]
    write_jsonl(folder.evaluation_rows, [EvaluationRow.of(samples[name]) for name, _ in failed])
    write_jsonl(folder.evaluation_answers, answers)


def test_a_repair_is_preferred_to_its_near_miss_by_the_criterion_that_failed(run: Settings) -> None:
    """Weights 5, 5 and 1 are positive, so r1 is worth 5/11."""
    (pair,) = pairs_of(Run(run))
    (line,) = map(json.loads, pair.lines("trl"))
    assert [turn["role"] for turn in line["prompt"]] == ["system", "user"]
    assert (line["chosen"], line["rejected"]) == (
        [{"role": "assistant", "content": "Better."}],
        [{"role": "assistant", "content": reply(50)}],
    )
    assert (line["source"], line["margin"], line["criteria"]) == ("repair", round(5 / 11, 4), [CRITERIA[0].criteria])


def test_a_kept_reply_stands_against_a_weaker_answer_and_against_none_that_is_as_good(run: Settings) -> None:
    answered(run, ("s00", ["r1", "r2"]), ("s01", []), ("s02", ["r4"]))
    found = {pair.id: (pair.source, float(pair.margin)) for pair in pairs_of(Run(run)) if pair.source == "candidate"}
    assert found == {"s00@base": ("candidate", pytest.approx(10 / 11)), "s02@base": ("candidate", pytest.approx(1 / 11))}


@pytest.mark.parametrize("text", ["question", "explanation", "follow_up", "rubrics"])
def test_an_answer_to_what_the_sample_was_before_it_was_made_anew_is_no_pair(run: Settings, text: str) -> None:
    answered(run, ("s00", ["r1"]), ("s01", ["r1"]))
    path = Folder(Run(run).evaluation).evaluation_rows
    row, other = read_jsonl(path, EvaluationRow, made_by="05_evaluate")
    earlier = {text: row.rubrics[::-1] if text == "rubrics" else "Something else."}
    write_jsonl(path, [row.model_copy(update=earlier), other])
    assert [pair.id for pair in pairs_of(Run(run)) if pair.source == "candidate"] == ["s01@base"]


def test_scores_of_two_judges_make_no_pair(run: Settings) -> None:
    answered(run, ("s00", ["r1"]), ("s01", ["r1"]))
    path = Folder(Run(run).evaluation).evaluation_answers
    one, other = read_jsonl(path, CandidateAnswer, made_by="05_evaluate")
    judged_elsewhere = one.model_copy(update={"evaluation": one.evaluation.model_copy(update={"model": "another judge"})})
    write_jsonl(path, [judged_elsewhere, other])
    assert [pair.id for pair in pairs_of(Run(run)) if pair.source == "candidate"] == ["s01@base"]


def test_a_side_that_has_no_pairs_any_more_has_no_file_and_no_word_in_the_card(run: Settings) -> None:
    """The repair's pair is the only one that is left."""
    answered(run, *[(f"s{number:02}", ["r1"]) for number in range(12)])
    for there in (2, 1):
        _, card = publish(run)
        files = {path.name for side in ("train", "validation") if (path := preferences_of(Run(run), side)).exists()}
        assert len(files) == there
        assert {name for name in ("preferences.jsonl", "preferences_validation.jsonl") if f"`{name}`" in card} == files
        Folder(Run(run).evaluation).evaluation_answers.unlink(missing_ok=True)


def test_spoiled_copies_are_pairs_only_on_request(run: Settings) -> None:
    assert [pair.source for pair in pairs_of(Run(run.model_copy(update={"pairs_from_planted": True})))] == ["planted", "repair"]


def test_each_pair_is_on_the_side_of_its_sample_and_is_counted_in_the_card(run: Settings) -> None:
    answered(run, *[(f"s{number:02}", ["r1"]) for number in range(12)])
    _, card = publish(run)
    folder = Run(run)
    texts = {side: preferences_of(folder, side).read_text("utf-8") for side in ("train", "validation")}
    lines = {side: [json.loads(line) for line in text.splitlines()] for side, text in texts.items()}
    training = {side: (folder.dataset / f"{side}.jsonl").read_text("utf-8") for side in lines}
    for side, pairs in lines.items():
        assert pairs and all(json.dumps(pair["prompt"][1]["content"])[1:-1] in training[side] for pair in pairs)
    counted = read_manifest(folder).dataset.preferences
    assert {side: sum(of.values()) for side, of in counted.items()} == {side: len(pairs) for side, pairs in lines.items()}
    assert sum(len(pairs) for pairs in lines.values()) == 13
    assert "near misses and their repairs" in card and "answers of other models" in card


@pytest.mark.parametrize(("form", "keys"), [("trl", "chosen"), ("openai", "preferred_output"), ("kto", "completion")])
def test_each_form_is_valid_by_the_kits_own_check(run: Settings, form: str, keys: str) -> None:
    publish(run.model_copy(update={"preference_form": form}))
    path = next(path for side in ("train", "validation") if (path := preferences_of(Run(run), side)).exists())
    report = validate_form(path, "preferences")
    assert report.valid, str(report)
    assert keys in json.loads(path.read_text("utf-8").splitlines()[0])
    assert report.lines == (2 if form == "kto" else 1)


def test_rubric_rewards_have_positive_weights_bans_included_and_are_of_the_train_side(run: Settings) -> None:
    sides, _ = publish(run)
    entries = [json.loads(line) for line in rubrics_of(Run(run)).read_text("utf-8").splitlines()]
    assert len(entries) == sides["train"]
    assert [one["weight"] for one in entries[0]["rubrics"]] == [5, 5, 5, 1]
    assert validate_form(rubrics_of(Run(run)), "rubrics").valid


def test_the_reward_function_of_the_card_is_python_and_pays_for_what_is_met(run: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights 5, 5, 5 and 1, of which r2 is not met: 11/16."""
    _, card = publish(run)
    code = card.partition("```python\nimport json\n")[2].partition("```")[0].replace("from openai import OpenAI\n", "")
    code = "import json\n" + code.replace("from datasets import load_dataset\n", "").partition("data = load_dataset")[0]

    class Client:
        """Answers that all but r2 are met."""

        chat = completions = choices = message = property(lambda self: self)
        content = property(lambda self: self.text)

        def create(self, **asked: Any) -> "Client":
            names = asked["response_format"]["json_schema"]["schema"]["required"]
            self.text = json.dumps({name: name != "r2" for name in names})
            return self

        def __getitem__(self, _: int) -> "Client":
            return self

    space: dict[str, Any] = {"OpenAI": Client}
    exec(code, space)  # the card's own code
    entry = json.loads(rubrics_of(Run(run)).read_text("utf-8").splitlines()[0])
    completion = [{"role": "assistant", "content": "So."}]
    assert space["rubric_reward"]([entry["prompt"]], [completion], [entry["rubrics"]]) == [pytest.approx(11 / 16)]


def test_what_single_trainers_want_lies_beside_the_files(run: Settings) -> None:
    _, card = publish(run)
    folder = Run(run).dataset
    assert (folder / "valid.jsonl").read_bytes() == (folder / "validation.jsonl").read_bytes()
    info = json.loads((folder / "dataset_info.json").read_text("utf-8"))
    assert info["tutoring"]["file_name"] == "train.jsonl" and info["tutoring"]["tags"]["assistant_tag"] == "assistant"
    for name in ("license_link: ", "annotations_creators: [machine-generated]", "source_datasets: ["):
        assert name in card
