"""The data set holds everything that is known of the kept samples, opens by itself, and its card is no kinder than the notebook."""

import json
import re
from collections import Counter
from html import unescape
from pathlib import Path

import mistune
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pyarrow import parquet

from lib.errors import plain
from lib.filter.examples import example_line
from lib.prompts.rendering import cell, yaml_text
from lib.publish.dataset import schema
from lib.run.files import read_jsonl
from lib.run.manifest import update_manifest
from lib.run.run import Run
from lib.schema import Sample
from lib.settings import Settings
from lib.validate.check import validate_file
from tests.build import a_planted, a_sample, an_evaluation, copy_run, count, keep, publish, rubrics_of, seeds_of, write_kept, write_run
from tests.conftest import small_settings
from tests.publish.test_splits import of_seed

GENERATION = {
    "counts": {"total": 20, "done": 20, "failed": 0},
    "finished": "2026-11-25T03:00:00+00:00",
    "inputs_sha256": {"seeds": "5" * 64, "topics": "6" * 64},
    "notice": "",
    "prompt_sha256": {"scenario": "1" * 64, "gold": "2" * 64},
    "provider": "anthropic",
}


def with_records(settings: Settings, samples: list[Sample], **changes: object) -> Settings:
    """Write what notebooks 1 and 2 leave of these samples, all judged and kept, the first in a spoiled copy too."""
    write_kept(settings, samples)
    write_run(settings, samples, [an_evaluation(sample, failed=["r2"]) for sample in samples], planted=[a_planted(samples[0])])
    update_manifest(Run(settings), "generation", values=GENERATION | {"settings": settings.model_dump(mode="json")} | changes)
    update_manifest(
        Run(settings),
        "judging",
        values={"settings": settings.model_dump(mode="json"), "prompt_sha256": {"judge": "3" * 64}, "notice": "", "ledger": []},
    )
    count(settings)
    return settings


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, seeds_csv: Path) -> Settings:
    """A data set of twenty samples with its card. It is there to be read."""
    settings = small_settings(tmp_path_factory.mktemp("published"), seeds_csv)
    samples = [of_seed(prompt, number, rubrics=rubrics_of(5, 1, -5)) for prompt in range(10) for number in range(2)]
    with_records(settings, samples)
    publish(settings)
    return settings


@pytest.fixture
def made(published: Settings, settings: Settings) -> Settings:
    """A copy of it, to be changed."""
    return copy_run(published, to=settings)


def files(settings: Settings, side: str) -> tuple[Path, Path]:
    return Run(settings).dataset / "data" / f"{side}.parquet", Run(settings).dataset / f"{side}.jsonl"


def header(settings: Settings) -> dict:
    return yaml.safe_load((Run(settings).dataset / "README.md").read_text("utf-8").split("---\n")[1])


def body(settings: Settings) -> str:
    return (Run(settings).dataset / "README.md").read_text("utf-8").split("---\n", 2)[2]


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_sample_is_on_one_side_in_both_formats(published: Settings) -> None:
    sides = {side: parquet.read_table(files(published, side)[0])["id"].to_pylist() for side in ("train", "validation")}
    assert {side: len(ids) for side, ids in sides.items()} == {"train": 18, "validation": 2}
    assert len({*sides["train"], *sides["validation"]}) == 20
    for side, ids in sides.items():
        assert len(files(published, side)[1].read_text("utf-8").splitlines()) == len(ids)


def test_the_lines_are_those_of_the_training_file(published: Settings) -> None:
    samples = [of_seed(prompt, number, rubrics=rubrics_of(5, 1, -5)) for prompt in range(10) for number in range(2)]
    written = [line for side in ("train", "validation") for line in files(published, side)[1].read_text("utf-8").splitlines(keepends=True)]
    assert sorted(written) == sorted(map(example_line, samples))
    assert validate_file(files(published, "train")[1]).valid


def test_parquet_holds_the_example_the_metadata_and_the_verdicts(published: Settings) -> None:
    table = parquet.read_table(files(published, "train")[0])
    assert table.schema.equals(schema())
    row = table.to_pylist()[0]
    assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
    assert row["messages"][2]["content"] == row["response"]
    assert [(rubric["id"], rubric["weight"]) for rubric in row["rubrics"]] == [("r1", 5), ("r2", 1), ("r3", -5)]
    assert [(verdict["rubric_id"], verdict["met"]) for verdict in row["verdicts"]] == [("r1", True), ("r2", False), ("r3", True)]
    assert (row["critical_passed"], row["critical_total"], row["judge"]) == (2, 2, "judge-1")
    assert row["weighted_score"] == pytest.approx(5 / 6)  # 5·1 + 1·0, by 5 + 1


def test_hugging_faces_loader_opens_the_folder_as_it_is(published: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from datasets import load_dataset

    found = load_dataset(str(Run(published).dataset), cache_dir=str(tmp_path / "cache"))
    assert {side: rows.num_rows for side, rows in found.items()} == {"train": 18, "validation": 2}
    assert found["train"].column_names == schema().names


def test_a_side_without_samples_has_no_files_and_is_not_in_the_header(made: Settings) -> None:
    without = made.model_copy(update={"validation_share": 0.0})
    assert publish(without)[0] == {"train": 20, "validation": 0}
    assert not any(path.exists() for path in files(without, "validation"))
    assert [entry["split"] for entry in header(without)["configs"][0]["data_files"]] == ["train"]
    assert "There is no validation split" in body(without)


def test_a_run_that_keeps_nothing_has_a_card_all_the_same(settings: Settings) -> None:
    with_records(settings, [a_sample()])
    Run(settings).evaluations.write_text("")
    keep(settings)
    assert publish(settings)[0] == {"train": 0, "validation": 0}
    assert "configs" not in header(settings)


def test_planted_failures_are_in_none_of_it(published: Settings) -> None:
    assert not any(b"Spoiled." in path.read_bytes() for path in Run(published).dataset.rglob("*") if path.is_file())


def test_every_line_that_is_written_is_one_line_for_every_reader(settings: Settings) -> None:
    """`str.splitlines` also ends lines at U+0085, U+2028 and U+2029, which JSON may hold as they are."""
    sample = a_sample(response="One\u2028two\u2029three\x85four\x0b\x0c\x1c\x1d\x1efive.")
    publish(with_records(settings, [sample]))
    for path in (Run(settings).filtered, Run(settings).generated, Run(settings).dataset / "train.jsonl"):
        assert len(path.read_text("utf-8").splitlines()) == 1
    assert next(read_jsonl(Run(settings).filtered, Sample, made_by="")) == sample
    line = json.loads((Run(settings).dataset / "train.jsonl").read_text("utf-8"))
    assert line["messages"][2]["content"] == sample.response


# ── card ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_header_is_what_the_hub_reads(published: Settings) -> None:
    found = header(published)
    assert found["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train.parquet"},
        {"split": "validation", "path": "data/validation.parquet"},
    ]
    assert (found["language"], found["size_categories"], found["license"]) == (["en"], ["n<1K"], "other")


def test_the_card_says_who_wrote_who_judged_and_how_good_the_judge_is(published: Settings) -> None:
    text = body(published)
    assert "| written by | writer-1 |" in text and "| judged by | judge-1 |" in text
    assert "| keep rate | 20 of 20, 100% (95 % interval 84% to 100%) |" in text
    assert "planted failures caught: 0 of 1" in text and "too few to tell" in text


def test_every_warning_of_the_statistics_is_on_the_card(published: Settings) -> None:
    warnings = json.loads(Run(published).statistics.read_text("utf-8"))["warnings"]
    assert warnings
    assert all(warning.replace(">", "&gt;").replace("<", "&lt;") in body(published) for warning in warnings)


def test_the_coverage_table_counts_every_kept_sample_once(published: Settings) -> None:
    rows = [line.split("|") for line in body(published).splitlines() if line.startswith(("| Ecology", "| Finance", "| Sociology"))]
    assert sum(int(row[-2]) for row in rows) == 20
    assert all(int(row[-2]) == sum(map(int, row[2:-2])) for row in rows)


@pytest.mark.parametrize(
    ("seeds", "said"), [("data/seeds.csv", "the kit's own (CC BY 4.0)"), ("", "**Fill in its licence**")], ids=["own", "another's"]
)
def test_the_card_says_under_which_licence_the_seeds_are(settings: Settings, seeds: str, said: str) -> None:
    digest = seeds_of(seeds).sha256 if seeds else "0" * 64
    with_records(settings, [a_sample()], inputs_sha256={"seeds": digest, "topics": ""})
    _, text = publish(settings)
    assert said in text
    assert "check your agreement before you train or share" in text


def test_a_notice_stands_on_top(settings: Settings) -> None:
    with_records(settings, [a_sample()], notice="Not to be trained on.")
    assert "> **Not to be trained on.**" in publish(settings)[1].split("Fine-tuning examples")[0]


def test_writer_and_judge_of_one_family_are_told(settings: Settings) -> None:
    sample = a_sample(models={"scenario": "claude-opus-5-5", "gold": "claude-opus-5-5"})
    with_records(settings, [sample])
    write_run(settings, [sample], [an_evaluation(sample, model="claude-sonnet-5-5")])
    keep(settings)
    assert "Writer and judge are of one family (anthropic)" in publish(settings)[1]


def test_paths_of_the_user_are_not_on_the_card(published: Settings) -> None:
    assert published.outputs_dir not in body(published)
    assert "seeds_csv" not in body(published)


def test_text_of_a_model_cannot_break_the_table(settings: Settings) -> None:
    with_records(settings, [a_sample(models={"scenario": "a|b<script>", "gold": "a|b<script>"})])
    _, text = publish(settings)
    assert "| written by | a&#124;b&lt;script&gt; |" in text and "<script>" not in text


HOSTILE = (
    "![p](http://x)[l](javascript:1)|<b>\n# h\n---\n$\\href{javascript:1}{x}$ `c` **d** ~~e~~ www.x.org a@b.org \x1b[31m <!-- &lt;i&gt;"
)


def elements(markdown: str) -> Counter[str]:
    """Return how often each HTML element stands in what a reader of the Markdown sees: with tables, bare addresses and struck words."""
    html = str(mistune.html(markdown)) + str(
        mistune.create_markdown(escape=False, plugins=["table", "url", "strikethrough", "math"])(markdown)
    )
    return Counter(re.findall(r"<(\w+)", html))


def test_foreign_text_stays_text_wherever_it_stands_in_the_card(settings: Settings) -> None:
    """Names of models, a subject and a setting of the user's own, the endpoint, the notice and a digest: the card keeps its elements."""
    cards = []
    for text in ("plain", HOSTILE):
        subject = "".join(text.split()).replace("\x1b", "")  # settings take neither blanks in a model's name nor what can't be printed
        of_text = settings.model_copy(update={"subjects": (subject,), "model": subject})
        sample = a_sample(subject=subject, models={"scenario": text, "gold": text}, notice=text)
        with_records(of_text, [sample], notice=text, provider=text, inputs_sha256={"seeds": text, "topics": ""}, finished=text)
        write_run(of_text, [sample], [an_evaluation(sample, model=text)])
        keep(of_text)
        publish(of_text)
        cards.append((elements(body(of_text)), header(of_text), len(body(of_text).splitlines())))
        assert "\x1b" not in body(of_text)
    (usual, usual_header, lines), (found, found_header, found_lines) = cards
    assert {name: count for name, count in found.items() if count != usual[name]}.keys() <= {"span"}
    assert (found_header, found_lines) == (usual_header, lines)


@example("1.")
@example("2) b")
@given(st.text(st.sampled_from("[]()<>!|*_`~$\\#-+=1.:/@&;\n\t abwxyz\x00\u2028\u202e"), max_size=40))
def test_any_text_is_one_cell_that_shows_it_and_nothing_else(text: str) -> None:
    html = str(mistune.html(f"| a | b |\n|---|---|\n| {cell(text)} | end |"))
    inside = re.findall(r"<td>(.*?)</td>", html, re.DOTALL)
    assert len(inside) == 2 and inside[1] == "end"
    assert set(re.findall(r"<(/?\w+)", inside[0])) <= {"span", "/span"}
    assert " ".join(unescape(re.sub(r"</?span>", "", inside[0])).split()) == plain(text)
    assert set(re.findall(r"<(\w+)", str(mistune.html(f"- {cell(text)}")))) <= {"ul", "li", "span"}


@given(st.text())
def test_any_text_is_one_string_of_the_header(text: str) -> None:
    assert yaml.safe_load(f"title: {yaml_text(text)}\nnext: 1") == {"title": plain(text, longest=5_000), "next": 1}


def test_what_was_not_checked_is_not_claimed(made: Settings) -> None:
    assert "| Benchmark overlap |" in body(made)
    update_manifest(Run(made), "gating", values={"not_checked": ["benchmark_overlap"]})
    publish(made)
    assert "| Benchmark overlap |" not in body(made) and "Not checked: benchmark overlap." in body(made)


def test_the_card_says_how_much_the_benchmark_held(made: Settings) -> None:
    assert "sequences of eight words" not in body(made)
    update_manifest(Run(made), "gating", values={"benchmark": {"rows": 250, "sequences": 4_812}})
    publish(made)
    assert "250 rows, 4812 different sequences of eight words" in body(made)


def test_a_topped_up_run_says_so_and_settings_of_judging_are_told_too(made: Settings) -> None:
    judged = made.model_copy(update={"votes": 3})
    update_manifest(Run(made), "judging", values={"settings": judged.model_dump(mode="json"), "prompt_sha256": {"judge": "3" * 64}})
    update_manifest(Run(made), "top_up", values={"repaired": 5, "added": 2, "prompt_sha256": {"repair": "7" * 64}})
    publish(made)
    assert "5 near misses were rewritten once" in body(made) and "| repair | `7777" in body(made)
    assert "`votes` = 3" in body(made)


def test_the_cards_keep_rate_and_steps_are_of_the_first_pass_with_a_line_for_the_top_up(settings: Settings) -> None:
    """In the first pass one of two is kept. The other is repaired and kept, and one of two further samples is kept."""
    samples = [a_sample(f"s{number}", origin=origin) for number, origin in enumerate(("plan", "plan", "repair", "top_up", "top_up"))]
    with_records(settings, samples)
    write_run(settings, samples, [an_evaluation(each, failed=["r1"] if each.id in ("s1", "s4") else []) for each in samples])
    keep(settings)
    update_manifest(Run(settings), "top_up", values={"repaired": 1, "added": 2})
    publish(settings)
    assert "| keep rate of the first pass | 1 of 2, 50% (95 % interval 9% to 91%) |" in body(settings)
    assert "judged like the rest: 1 of 2 further samples and 1 of 1 repaired ones kept." in body(settings)
    assert "| Critical rubrics failed | 2 | 1 | 1 |" in body(settings)
    assert "| examples | 3: " in body(settings)


def test_a_tutor_that_saw_the_rubrics_is_not_said_to_have_been_blind(made: Settings) -> None:
    seeing = made.model_copy(update={"show_rubrics_to_tutor": True})
    update_manifest(Run(made), "generation", values=GENERATION | {"settings": seeing.model_dump(mode="json")})
    publish(made)
    assert "without seeing the rubrics" not in body(made) and "with the rubrics in view" in body(made)
