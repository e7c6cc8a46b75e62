"""A TutorBench-format CSV becomes seeds, in whatever state people's copies are; what can't be used is set aside with a reason.

The format (columns, severities, no `weight` key): TutorBench, arXiv 2510.02663. CSV itself: RFC 4180. All rows here are our own.
"""

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.errors import is_blank
from lib.generate.seeds import SeedFile, SeedFileError, read_seeds
from lib.schema import Seed

HEADER = ("PROMPT", "UC1_INITIAL_EXPLANATION", "FOLLOW_UP_PROMPT", "RUBRICS")


def rubric(severity: str = "critical", criteria: str = "The response must name the loop bound.", **more: Any) -> dict[str, Any]:
    attributes = {
        "severity": severity,
        "tutoring_skill": "states_definition_or_law",
        "eval_dimension": "truthfulness",
        "explicitness": "explicit",
        "objectivity": "objective",
    }
    return {"attributes": attributes, "criteria": criteria} | more


def row(
    prompt: str = "Why does the loop stop at 9?",
    explanation: str = "range(10) ends before 10.",
    follow_up: str = "So it runs nine times?",
    rubrics: str | list[dict[str, Any]] | None = None,
) -> tuple[str, str, str, str]:
    cell = rubrics if isinstance(rubrics, str) else json.dumps([rubric()] if rubrics is None else rubrics)
    return prompt, explanation, follow_up, cell


def csv_text(*rows: Sequence[str], header: Sequence[str] = HEADER, **dialect: Any) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, **dialect).writerows([header, *rows])
    return text.getvalue()


def read(folder: Path, content: str | bytes, *, on_bad_row: str = "skip", name: str = "seeds.csv") -> SeedFile:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_seeds(path, on_bad_row=on_bad_row)


def only_seed(folder: Path, content: str | bytes) -> Seed:
    (seed,) = read(folder, content).seeds
    return seed


def weights(folder: Path, *entries: dict[str, Any]) -> list[int]:
    return [entry.weight for entry in only_seed(folder, csv_text(row(rubrics=list(entries)))).rubrics]


# ── what a usable row gives ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_row_becomes_a_seed_with_its_texts_and_rubrics(tmp_path: Path) -> None:
    seed = only_seed(tmp_path, csv_text(row("P?", "E.", "F?", [rubric("critical", "The response must say A.")])))
    assert (seed.row, seed.prompt, seed.explanation, seed.follow_up) == (1, "P?", "E.", "F?")
    (only,) = seed.rubrics
    assert (only.id, only.criteria, only.weight, only.attributes.severity) == ("r1", "The response must say A.", 5, "critical")


def test_seeds_keep_the_order_and_the_numbers_of_their_rows(tmp_path: Path) -> None:
    file = read(tmp_path, csv_text(row("first"), row(explanation=""), row("third")))
    assert [(seed.row, seed.prompt) for seed in file.seeds] == [(1, "first"), (3, "third")]


def test_the_subject_is_taken_over_where_the_file_has_one(tmp_path: Path) -> None:
    assert only_seed(tmp_path, csv_text((*row(), " Biology "), header=(*HEADER, "SUBJECT"))).subject == "Biology"
    assert only_seed(tmp_path, csv_text(row())).subject == ""


def test_columns_may_stand_in_any_order_among_others(tmp_path: Path) -> None:
    prompt, explanation, follow_up, rubrics = row()
    text = csv_text(
        ("t1", rubrics, follow_up, "x", explanation, prompt),
        header=("TASK_ID", "RUBRICS", "FOLLOW_UP_PROMPT", "bloom_taxonomy", "UC1_INITIAL_EXPLANATION", "PROMPT"),
    )
    seed = only_seed(tmp_path, text)
    assert (seed.prompt, seed.explanation, seed.follow_up) == (prompt, explanation, follow_up)


# ── the states people's copies are in ────────────────────────────────────────────────────────────────────────────────

SPECIAL = row("Is “naïve” – 5 € – an adjective?")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_text_reads_the_same_from_every_usual_encoding(tmp_path: Path, encoding: str) -> None:
    assert only_seed(tmp_path, csv_text(SPECIAL).encode(encoding)).prompt == "Is “naïve” – 5 € – an adjective?"


def test_a_seeds_digest_depends_on_its_text_not_on_the_files_encoding(tmp_path: Path) -> None:
    digests = {only_seed(tmp_path, csv_text(SPECIAL).encode(encoding)).sha256 for encoding in ("utf-8", "utf-8-sig", "cp1252", "utf-16")}
    assert len(digests) == 1
    assert only_seed(tmp_path, csv_text(row("Another question?"))).sha256 not in digests


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lines_may_end_in_either_way(tmp_path: Path, newline: str) -> None:
    assert len(read(tmp_path, csv_text(row(), row(), lineterminator=newline)).seeds) == 2


def test_a_cell_may_hold_newlines_quotes_and_commas(tmp_path: Path) -> None:
    prompt = 'Two lines,\nthe second says "stop",\r\nand a third.'
    assert only_seed(tmp_path, csv_text(row(prompt))).prompt == prompt


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_spreadsheets_other_delimiters_are_recognised(tmp_path: Path, delimiter: str) -> None:
    assert only_seed(tmp_path, csv_text(row("a, b; c"), delimiter=delimiter)).prompt == "a, b; c"


def test_header_names_may_differ_in_case_and_carry_blanks(tmp_path: Path) -> None:
    assert (
        only_seed(tmp_path, csv_text(row("P?"), header=(" prompt ", "uc1_initial_explanation", "Follow_Up_Prompt\t", "Rubrics"))).prompt
        == "P?"
    )


def test_a_byte_order_mark_that_was_written_twice_is_dropped_twice(tmp_path: Path) -> None:
    content = "\ufeff" + ",".join(HEADER) + "\r\n" + csv_text(row(), header=row("first"))
    assert len(read(tmp_path, content.encode("utf-8-sig")).seeds) == 2


def test_blanks_around_a_cell_are_dropped_also_those_one_cannot_see(tmp_path: Path) -> None:
    seed = only_seed(tmp_path, csv_text(row("\u00a0 P?\u200b\n", " E. ", "\ufeffF?")))
    assert (seed.prompt, seed.explanation, seed.follow_up) == ("P?", "E.", "F?")


def test_empty_lines_between_rows_are_no_rows(tmp_path: Path) -> None:
    text = csv_text(row("one")) + "\r\n" + ",,,\r\n" + csv_text(row("two"), header=row("between"))
    file = read(tmp_path, text)
    assert [seed.prompt for seed in file.seeds] == ["one", "between", "two"]
    assert file.set_aside == ()


def test_the_path_may_hold_blanks(tmp_path: Path) -> None:
    folder = tmp_path / "my data"
    folder.mkdir()
    assert len(read(folder, csv_text(row()), name="Text Tutoring Prompts.csv").seeds) == 1


@settings(deadline=None)
@given(cell=st.text(st.characters(exclude_categories=["Cs"])))
@example(cell="\u3000")
@example(cell="a\x00b")
@example(cell="\x0c")
@example(cell="NONE")
@example(cell="\u3164")
def test_any_prompt_is_read_as_it_stands_or_set_aside(tmp_path_factory: pytest.TempPathFactory, cell: str) -> None:
    file = read(tmp_path_factory.getbasetemp(), csv_text(row("usable"), row(cell)))
    if "control_character" in file.reasons:
        assert any(unicodedata.category(character) == "Cc" and character not in "\t\r\n" for character in cell)
    elif file.set_aside:
        assert file.reasons == {"no_prompt": 1}
        word = cell.strip().lstrip("+-").casefold()
        assert is_blank(cell) or word in ("nan", "none", "null", "n/a", "<na>", "nat", "na") or word.startswith("#")  # a sheet's errors
    else:
        before, after = cell.split(file.seeds[1].prompt, 1)
        assert not any(character.isprintable() and not character.isspace() for character in before + after)


# ── rubrics ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_rubrics_may_be_json(tmp_path: Path) -> None:
    cell = '[{"criteria": "The response must say \\"half\\".", "attributes": {"severity": "critical"}}]'
    assert only_seed(tmp_path, csv_text(row(rubrics=cell))).rubrics[0].criteria == 'The response must say "half".'


def test_rubrics_may_be_a_python_literal(tmp_path: Path) -> None:
    cell = "[{'criteria': 'The response must say it\\'s half.', 'attributes': {'severity': 'critical', 'explicitness': None}}]"
    assert only_seed(tmp_path, csv_text(row(rubrics=cell))).rubrics[0].criteria == "The response must say it's half."


def test_rubrics_may_hold_unescaped_newlines_in_json(tmp_path: Path) -> None:
    cell = '[{"criteria": "The response must say\nhalf.", "attributes": {"severity": "critical"}}]'
    assert only_seed(tmp_path, csv_text(row(rubrics=cell))).rubrics[0].criteria == "The response must say\nhalf."


@pytest.mark.parametrize("wrap", [json.dumps, repr, lambda cell: json.dumps(json.dumps(cell))])
def test_rubrics_that_were_written_as_a_string_are_unwrapped(tmp_path: Path, wrap: Callable[[str], str]) -> None:
    cell = wrap(json.dumps([rubric(criteria='The response must say "half".')]))
    assert only_seed(tmp_path, csv_text(row(rubrics=cell))).rubrics[0].criteria == 'The response must say "half".'


@pytest.mark.parametrize(("severity", "weight"), [("critical", 5), ("critical_negative", -5), ("not_critical", 1), (" Critical ", 5)])
def test_the_severity_carries_the_weight(tmp_path: Path, severity: str, weight: int) -> None:
    assert weights(tmp_path, rubric(severity)) == [weight]


def test_the_sign_comes_from_the_severity_never_from_the_wording(tmp_path: Path) -> None:
    asked = rubric("critical", "The response must not skip the base case.")
    banned = rubric("critical_negative", "The response must leave the answer to the student.")
    assert weights(tmp_path, asked, banned) == [5, -5]


def test_a_weight_key_wins_over_the_severity(tmp_path: Path) -> None:
    seed = only_seed(tmp_path, csv_text(row(rubrics=[rubric("critical", weight=1), rubric("not_critical", weight=-5)])))
    assert [(entry.weight, entry.attributes.severity) for entry in seed.rubrics] == [(1, "not_critical"), (-5, "critical_negative")]


def test_deleted_rubrics_are_left_out_and_counted(tmp_path: Path) -> None:
    rubrics = [rubric(criteria="A."), rubric("deleted", "B."), rubric(criteria="C."), rubric("deleted ", "D.")]
    file = read(tmp_path, csv_text(row(rubrics=rubrics)))
    assert [entry.criteria for entry in file.seeds[0].rubrics] == ["A.", "C."]
    assert file.rubrics_deleted == 2


def test_rubric_ids_are_distinct(tmp_path: Path) -> None:
    ids = [entry.id for entry in only_seed(tmp_path, csv_text(row(rubrics=[rubric(), rubric("deleted"), rubric(), rubric()]))).rubrics]
    assert len(set(ids)) == len(ids) == 3


def test_trailing_blanks_of_attribute_values_are_dropped(tmp_path: Path) -> None:
    entry = rubric()
    entry["attributes"] |= {
        "tutoring_skill": "step_by_step_help ",
        "eval_dimension": "truthfulness, style_tone \n",
        "objectivity": " objective",
    }
    attributes = only_seed(tmp_path, csv_text(row(rubrics=[entry]))).rubrics[0].attributes
    assert (attributes.tutoring_skill, attributes.eval_dimension, attributes.objectivity) == (
        "step_by_step_help",
        "truthfulness, style_tone",
        "objective",
    )


def test_a_row_without_a_critical_rubric_is_still_a_seed(tmp_path: Path) -> None:
    assert weights(tmp_path, rubric("not_critical")) == [1]


# ── rows that are set aside ──────────────────────────────────────────────────────────────────────────────────────────

SET_ASIDE = {
    "no explanation": ("no_explanation", row(explanation=" \u200b")),
    "no prompt": ("no_prompt", row(prompt="")),
    "no follow-up": ("no_follow_up", row(follow_up="\n")),
    "rubrics are prose": ("broken_rubrics", row(rubrics="Be kind to the student.")),
    "rubrics are cut off": ("broken_rubrics", row(rubrics='[{"criteria": "The resp')),
    "rubrics are missing": ("broken_rubrics", row(rubrics="")),
    "rubrics are no list": ("broken_rubrics", row(rubrics='{"criteria": "x"}')),
    "a rubric is a word": ("broken_rubrics", row(rubrics='["Be kind."]')),
    "a rubric asks nothing": ("broken_rubrics", row(rubrics=[rubric(criteria=" ")])),
    "a rubric has no attributes": ("broken_rubrics", row(rubrics='[{"criteria": "The response must say half."}]')),
    "rubrics are code to run": ("broken_rubrics", row(rubrics="[dict(criteria='x', attributes=dict(severity='critical'))]")),
    "rubrics are an odd literal": ("broken_rubrics", row(rubrics="{[]: 1}")),
    "rubrics are nested without end": ("broken_rubrics", row(rubrics="[" * 100_000)),
    "a rubric is no text": ("broken_rubrics", row(rubrics=[rubric(criteria="half a character \ud800")])),
    **{
        f"criteria that are {criteria!r}": ("broken_rubrics", row(rubrics=[rubric(), rubric(criteria=criteria)]))
        for criteria in (None, float("nan"), ["a", "b"], 5, True, {"a": "b"}, "nan", "None", "\u200b", "a \u0007 bell")
    },
    "a literal without criteria": ("broken_rubrics", row(rubrics="[{'criteria': None, 'attributes': {'severity': 'critical'}}]")),
    "a string in a string in a string …": ("broken_rubrics", row(rubrics=json.dumps(json.dumps(json.dumps(json.dumps([rubric()])))))),
    "a number that can't be written": ("unknown_severity", row(rubrics=str([rubric(weight=7)]).replace("7", "0x" + "f" * 9_999))),
    "prompt is a placeholder": ("no_prompt", row(prompt=" #REF! ")),
    "explanation is a placeholder": ("no_explanation", row(explanation="NaN")),
    "rubrics are a placeholder": ("broken_rubrics", row(rubrics="nan")),
    "a bell": ("control_character", row(follow_up="ding \x07 dong")),
    "a vertical tab": ("control_character", row(prompt="one\x0btwo")),
    "NUL far behind": ("control_character", row(explanation="x" * 9_000 + "\x00")),
    "surplus cells": ("surplus_cells", (*row(), "more")),
    "a severity of its own": ("unknown_severity", row(rubrics=[rubric("urgent")])),
    "no severity": ("unknown_severity", row(rubrics=[rubric("")])),
    "a weight of its own": ("unknown_severity", row(rubrics=[rubric(weight=3)])),
    "a weight that is a list": ("unknown_severity", row(rubrics=[rubric(weight=[5])])),
    "a weight that is true": ("unknown_severity", row(rubrics=[rubric(weight=True)])),
    "an empty list": ("no_rubrics", row(rubrics=[])),
    "all deleted": ("no_rubrics", row(rubrics=[rubric("deleted")])),
}


@pytest.mark.parametrize(("reason", "cells"), SET_ASIDE.values(), ids=SET_ASIDE)
def test_a_row_that_cannot_be_used_is_set_aside_with_its_reason(tmp_path: Path, reason: str, cells: tuple[str, ...]) -> None:
    file = read(tmp_path, csv_text(row(), cells, row()))
    assert [seed.row for seed in file.seeds] == [1, 3]
    assert [(aside.row, aside.reason) for aside in file.set_aside] == [(2, reason)]


def test_a_row_that_needs_an_image_is_set_aside(tmp_path: Path) -> None:
    header = (*HEADER, "IMAGE_URL")
    file = read(tmp_path, csv_text((*row(), ""), (*row(), "https://example.org/figure.png"), header=header))
    assert [(aside.row, aside.reason) for aside in file.set_aside] == [(2, "image_needed")]


def test_a_row_with_too_few_cells_is_set_aside(tmp_path: Path) -> None:
    assert read(tmp_path, csv_text(row(), ("only a prompt",))).reasons == {"no_explanation": 1}


@pytest.mark.parametrize("nothing", ["nan", "NaN", "None", "null", "#N/A", "\u200b"])
def test_a_placeholder_for_an_image_is_no_image(tmp_path: Path, nothing: str) -> None:
    assert len(read(tmp_path, csv_text((*row(), nothing), header=(*HEADER, "IMAGE_URL"))).seeds) == 1


def test_a_stray_byte_costs_its_own_row_and_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    content = csv_text(row("Pourquoi “été” ?"), row("Pourquoi STRAY ?"), row("Où est l’œuf ?")).encode().replace(b"STRAY", b"\x93\xe9")
    file = read(tmp_path, content)
    assert [(seed.row, seed.prompt) for seed in file.seeds] == [(1, "Pourquoi “été” ?"), (3, "Où est l’œuf ?")]
    assert file.reasons == {"not_text": 1}


def test_an_unquoted_comma_never_shifts_a_cell_into_another_column(tmp_path: Path) -> None:
    text = csv_text(row()) + "Since x is even, why is x+1 odd?,Because one is left.,But I think so.,[]\n"
    assert read(tmp_path, text).reasons == {"surplus_cells": 1}
    with pytest.raises(SeedFileError, match=r"row 2 \(line 3\): more cells than columns"):
        read(tmp_path, text, on_bad_row="stop")


def test_a_file_in_windows_1252_is_read_with_a_remark(tmp_path: Path) -> None:
    assert read(tmp_path, csv_text(SPECIAL)).remarks == ()
    (remark,) = read(tmp_path, csv_text(SPECIAL).encode("cp1252")).remarks
    assert "seeds.csv" in remark and "Windows-1252" in remark


def test_the_reasons_are_counted_most_frequent_first(tmp_path: Path) -> None:
    file = read(tmp_path, csv_text(row(), row(prompt=""), row(explanation=""), row(explanation="")))
    assert list(file.reasons.items()) == [("no_explanation", 2), ("no_prompt", 1)]


def test_on_bad_row_stop_names_file_row_and_column(tmp_path: Path) -> None:
    with pytest.raises(SeedFileError) as caught:
        read(tmp_path, csv_text(row(), row(rubrics=[rubric("urgent")])), on_bad_row="stop")
    assert all(word in str(caught.value) for word in (str(tmp_path / "seeds.csv"), "row 2", "RUBRICS", "urgent"))


@settings(deadline=None, max_examples=60)
@given(
    entry=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["criteria", "attributes", "severity", "weight"]), inner)
        ),
        max_leaves=8,
    ),
    as_json=st.booleans(),
)
def test_whatever_stands_among_the_rubrics_a_row_is_used_or_set_aside(
    tmp_path_factory: pytest.TempPathFactory, entry: object, as_json: bool
) -> None:
    cell = json.dumps([entry]) if as_json else repr([entry])
    file = read(tmp_path_factory.getbasetemp(), csv_text(row(), row(rubrics=cell)))
    assert len(file.seeds) + len(file.set_aside) == 2


# ── files that can't be used at all ──────────────────────────────────────────────────────────────────────────────────


def refusal(path: Path) -> str:
    with pytest.raises(SeedFileError) as caught:
        read_seeds(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_named_with_the_setting_to_change(tmp_path: Path) -> None:
    assert "seeds_csv" in refusal(tmp_path / "nowhere.csv")


def test_a_folder_is_no_seed_file(tmp_path: Path) -> None:
    refusal(tmp_path)


def test_a_path_that_goes_through_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "seeds.csv").write_text(csv_text(row()))
    refusal(tmp_path / "seeds.csv" / "seeds.csv")


WHOLE_FILE = {
    "empty": (b"", "empty"),
    "only blanks": (b" \r\n\n", "empty"),
    "only a byte order mark": (b"\xef\xbb\xbf", "seeds.csv"),
    "only a UTF-16 byte order mark": (b"\xff\xfe", "seeds.csv"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01", "not a text file"),
    "a spreadsheet": (b"PK\x03\x04\x14\x00\x06\x00\x08\x00[Content_Types].xml", "not a text file"),
    "noise that begins like UTF-16": (b"\xff\xfe\x00\xd8\x41", "seeds.csv"),
    "an unbalanced quote": ((csv_text(row()) + '"never closed,\r\n').encode(), "not CSV"),
    "text after a closing quote": ((csv_text(row()) + '"a"b,c,d,e\r\n').encode(), "not CSV"),
    "a column is missing": (csv_text(row()[:3], header=HEADER[:3]).encode(), "RUBRICS"),
    "two columns are missing": (csv_text(row()[2:], header=HEADER[2:]).encode(), "PROMPT, UC1_INITIAL_EXPLANATION"),
    "prose": (b"Dear colleague,\nplease find attached my prompts.\n", "PROMPT"),
    "a column stands twice": (csv_text((*row(), "Other?"), header=(*HEADER, "Prompt ")).encode(), "the column PROMPT stands twice"),
    "another encoding": (csv_text(row("为什么 7 是奇数?")).encode("gbk"), "UTF-8"),
    "no rows": (csv_text().encode(), "no usable row"),
    "no usable row": (csv_text(row(prompt=""), row(rubrics="?")).encode(), "1 × no_prompt, 1 × broken_rubrics"),
}


@pytest.mark.parametrize(("content", "says"), WHOLE_FILE.values(), ids=WHOLE_FILE)
def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "seeds.csv"
    path.write_bytes(content)
    assert says in refusal(path)
