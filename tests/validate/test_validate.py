"""A training file is checked to the last byte: every rule of the format has a code, every problem a line, and no file a traceback."""

import hashlib
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.commands.__main__ import main
from lib.errors import is_blank
from lib.filter.examples import example_line
from lib.settings import PROJECT_ROOT
from lib.validate import tokens
from lib.validate.chat_format import checked_line
from lib.validate.check import TrainingFileError, require_valid, validate_file
from lib.validate.plain_line import canonical_form, plain_turns
from lib.validate.report import Report, usual_epochs
from lib.validate.tokens import TokenCounter, o200k_counter
from tests.build import tiktoken_o200k

SYSTEM = "You are an expert tutor."
WORDS = TokenCounter(lambda text: len(text.split()), exact=True)  # a token a word: totals can be worked by hand
CALL = {"id": "c1", "type": "function", "function": {"name": "plot", "arguments": '{"of": "x^2"}'}}
TOOL = {"type": "function", "function": {"name": "plot", "parameters": {"type": "object"}}}


def example(user: str = "Why?", assistant: str = "Because it is so.", *, system: str = SYSTEM) -> dict:
    return {
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    }


def line(value: object, **style: object) -> bytes:
    return json.dumps(value, **({"ensure_ascii": False} | style)).encode() + b"\n"


def good_lines(count: int = 10) -> list[bytes]:
    return [line(example(f"Question {number}?")) for number in range(count)]


def write(folder: Path, *lines: bytes, name: str = "train.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"".join(lines))
    return path


def check(folder: Path, *lines: bytes, **options: object) -> Report:
    """Check ten good lines and after them `lines`, the first of which is line 11."""
    return validate_file(write(folder, *good_lines(), *lines), **({"counter": WORDS} | options))


def found(report: Report) -> list[tuple[int, str, str]]:
    return [(problem.line, problem.code, problem.severity) for problem in report.problems]


def codes(value: object, *, strict: bool = True) -> list[str]:
    return [code for code, _ in checked_line(value if isinstance(value, bytes) else line(value), strict=strict)[1]]


def general(*messages: dict, **beside: object) -> list[str]:
    return codes({"messages": list(messages)} | beside, strict=False)


def asked(**changes: object) -> dict:
    return {"role": "user", "content": "Why?"} | changes


def answered(**changes: object) -> dict:
    return {"role": "assistant", "content": "Because."} | changes


# ── a file that is right ─────────────────────────────────────────────────────────────────────────────────────────────


def test_ten_right_lines_are_a_valid_file(tmp_path: Path) -> None:
    report = check(tmp_path)
    assert (report.valid, report.lines, report.examples, report.errors, report.warnings) == (True, 10, 10, 0, 0)
    assert report.problems == () and report.counts == {} and report.system_prompts == 1


def test_the_line_that_the_kit_writes_is_valid() -> None:
    about = SimpleNamespace(question="What is 2 + 2?", explanation="Count on.", follow_up="So it’s 22?\n\n\\(2+2\\)")
    made = example_line(SimpleNamespace(metadata=about, response="Not quite — look again. 🙂"))
    assert codes(made.encode()) == []


def test_the_report_names_the_bytes_it_has_seen(tmp_path: Path) -> None:
    report = check(tmp_path, b"\xff\n", b"no newline")
    raw = (tmp_path / "train.jsonl").read_bytes()
    assert (report.path, report.bytes, report.sha256) == ("train.jsonl", len(raw), hashlib.sha256(raw).hexdigest())


def test_the_first_two_valid_examples_are_kept_as_parsed(tmp_path: Path) -> None:
    path = write(tmp_path, b"[]\n", line(example("A?")), line(example("B?")), line(example("C?")))
    assert validate_file(path, counter=WORDS).first_entries == (example("A?"), example("B?"))


def test_a_report_can_be_written_as_json(tmp_path: Path) -> None:
    report = check(tmp_path, line(example("\ud800"), ensure_ascii=True), b"\xff\n")
    assert Report.model_validate_json(json.dumps(report.model_dump(mode="json"), allow_nan=False)) == report


def test_the_summary_is_short_and_names_the_counts(tmp_path: Path) -> None:
    summary = check(tmp_path, b"\n", b"\n", b"[]\n").summary()
    assert 2 <= len(summary.splitlines()) <= 6
    assert "NOT VALID" in summary and "errors: 3" in summary and "2 × blank_line, 1 × not_object" in summary


# ── bytes and lines ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_byte_order_mark_is_an_error_and_the_example_still_counts(tmp_path: Path) -> None:
    report = validate_file(write(tmp_path, b"\xef\xbb\xbf", *good_lines()), counter=WORDS)
    assert found(report) == [(1, "bom", "error")] and report.examples == 10


def test_crlf_is_an_error_on_its_line_and_the_example_still_counts(tmp_path: Path) -> None:
    report = check(tmp_path, line(example("Last?"))[:-1] + b"\r\n")
    assert found(report) == [(11, "crlf", "error")] and report.examples == 11


def test_a_blank_line_is_an_error(tmp_path: Path) -> None:
    assert found(check(tmp_path, b" \t\n")) == [(11, "blank_line", "error")]


def test_an_empty_line_at_the_end_is_blank(tmp_path: Path) -> None:
    assert found(check(tmp_path, b"\n")) == [(11, "blank_line", "error")]


def test_a_last_line_without_newline_is_only_a_warning(tmp_path: Path) -> None:
    report = check(tmp_path, line(example("Last?"))[:-1])
    assert found(report) == [(11, "no_final_newline", "warning")] and report.valid and report.examples == 11


def test_latin_1_is_not_utf_8(tmp_path: Path) -> None:
    assert found(check(tmp_path, json.dumps(example("été"), ensure_ascii=False).encode("latin-1") + b"\n")) == [(11, "not_utf8", "error")]


def test_utf_16_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(good_lines()[0].decode(), encoding="utf-16")
    assert "not_utf8" in validate_file(path, counter=WORDS).counts


def test_a_cut_off_line_is_not_json(tmp_path: Path) -> None:
    assert found(check(tmp_path, line(example())[:40] + b"\n")) == [(11, "not_json", "error")]


def test_a_pretty_printed_example_is_not_json_on_any_of_its_lines(tmp_path: Path) -> None:
    report = check(tmp_path, line(example(), indent=1))
    assert report.counts["not_json"] == len(json.dumps(example(), indent=1).splitlines())


def test_two_examples_on_one_line_are_not_json() -> None:
    assert codes(line(example()).rstrip() + line(example())) == ["not_json"]


def test_a_line_that_is_a_list_is_not_an_object() -> None:
    assert codes([example()]) == ["not_object"]


def test_a_key_that_stands_twice_is_named(tmp_path: Path) -> None:
    report = check(tmp_path, line(example()).replace(b'"content": "Why?"', b'"content": "Why?", "content": ""'))
    assert found(report) == [(11, "duplicate_key", "error")] and "'content'" in report.problems[0].message


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_an_error(number: str) -> None:
    assert codes(b'{"messages": [], "weight": ' + number.encode() + b"}\n") == ["not_finite"]


@pytest.mark.parametrize("escape", [rb"\ud800", rb"\uDFFF", rb"\udc00\ud800"])
def test_a_lone_surrogate_is_an_error(escape: bytes) -> None:
    assert codes(line(example("X")).replace(b'"X"', b'"' + escape + b'"')) == ["lone_surrogate"]


def test_an_escaped_pair_of_surrogates_is_one_character() -> None:
    assert codes(line(example("X")).replace(b'"X"', rb'"\ud83d\ude00"')) == []


@pytest.mark.parametrize("levels", [65, 900, 100_000])
def test_endless_nesting_is_an_error_not_a_crash(levels: int) -> None:
    assert codes(b"[" * levels + b"]" * levels + b"\n") == ["too_deep"]


def test_a_number_of_five_thousand_digits_is_an_error_not_a_crash() -> None:
    assert codes(b'{"messages": ' + b"9" * 5000 + b"}\n") == ["not_json"]


def test_a_line_too_long_is_skipped_and_the_next_one_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.validate.jsonl.MAX_LINE_BYTES", 300)
    report = check(tmp_path, line(example("x" * 1000)), b"[]\n")
    assert found(report) == [(11, "line_too_long", "error"), (12, "not_object", "error")]
    assert report.sha256 == hashlib.sha256((tmp_path / "train.jsonl").read_bytes()).hexdigest()


# ── the strict form ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_key_beside_messages_is_an_error(tmp_path: Path) -> None:
    assert found(check(tmp_path, line(example() | {"id": "s1"}))) == [(11, "extra_key", "error")]


@pytest.mark.parametrize("key", ["tools", "functions", "parallel_tool_calls"])
def test_what_the_general_form_allows_beside_messages_is_an_error_in_the_strict_one(key: str) -> None:
    assert codes(example() | {key: [TOOL]}) == ["extra_key"]


def test_a_line_without_messages_is_an_error() -> None:
    assert codes({"prompt": "Why?", "completion": "Because."}) == ["missing_key", "extra_key", "extra_key"]


@pytest.mark.parametrize("messages", [None, "text", {"role": "user"}, ["text"], [None]])
def test_messages_must_be_a_list_of_objects(messages: object) -> None:
    assert codes({"messages": messages}) == ["wrong_messages"]


@pytest.mark.parametrize("roles", ["", "user assistant", "system assistant user", "system user assistant user", "developer user assistant"])
def test_other_roles_than_system_user_assistant_are_an_error(roles: str) -> None:
    assert codes({"messages": [{"role": role, "content": "text"} for role in roles.split()]}) == ["wrong_roles"]


def test_a_message_with_a_third_key_is_an_error() -> None:
    value = example()
    value["messages"][2]["weight"] = 1
    assert codes(value) == ["extra_key"]


def test_a_message_without_content_is_an_error() -> None:
    value = example()
    del value["messages"][1]["content"]
    assert codes(value) == ["missing_key"]


@pytest.mark.parametrize("content", [None, 7, True, {"text": "Why?"}, [{"type": "text", "text": "Why?"}]])
def test_strict_content_is_a_string(content: object) -> None:
    assert codes(example(content)) == ["wrong_content"]


@pytest.mark.parametrize("content", ["", "   ", "\n\t", "\u00a0\u3000"])
def test_content_of_nothing_but_blanks_is_empty(content: str) -> None:
    assert codes(example(content)) == ["empty_content"]


INVISIBLE = ["\u200b", "\u200e\u200f", "\ufeff \n", "\u00ad", "\u2060\u2063", "\ufe0f", "\u3164", "\u2800", "\U000e0041", "\x00\x1f"]


@pytest.mark.parametrize("content", INVISIBLE, ids=ascii)
@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_content_of_which_nothing_can_be_seen_is_empty_in_both_forms(role: str, content: str) -> None:
    value = example(**{role: content})
    assert "empty_content" in codes(value) and "empty_content" in codes(value, strict=False)
    assert plain_turns(line(value), strict=True) is None and plain_turns(line(value), strict=False) is None


@pytest.mark.parametrize("content", ["\u200bWhy?", "👩\u200d🔬", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "0", "−"])
def test_an_invisible_character_beside_a_visible_one_is_no_flaw(content: str) -> None:
    assert codes(example(content)) == codes(example(content), strict=False) == []


def test_an_answer_that_nobody_can_see_is_not_made_up_for_by_a_refusal_that_nobody_can_see() -> None:
    assert general(asked(), answered(content="\u200b", refusal="\u200b")) == ["empty_content"]
    assert general(asked(name="\u200b"), answered()) == ["wrong_name"]


def test_a_system_prompt_that_changes_is_an_error_naming_the_first(tmp_path: Path) -> None:
    report = check(tmp_path, line(example(system="You are a pirate.")), line(example("New?")))
    assert found(report) == [(11, "system_prompt_differs", "error")] and "line 1:" in report.problems[0].message
    assert (report.system_prompts, report.examples) == (2, 11)


# ── what a text may hold ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "token", ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_prefix|>", "<|fim_suffix|>", "<|endofprompt|>", "<|eot_id|>"]
)
def test_a_special_token_is_an_error_in_any_message(token: str) -> None:
    assert [codes(example(**{role: f"a{token}b"})) for role in ("system", "user", "assistant")] == [["special_token"]] * 3


@pytest.mark.parametrize("text", ["<|v|>", "the average <|x|> of |x|", "a <| b |> c", "< |endoftext| >"])
def test_physics_and_code_are_no_special_tokens(text: str) -> None:
    assert codes(example(text)) == []


@pytest.mark.parametrize("character", ["\x00", "\r", "\x0b", "\x1b", "\x7f", "\x80"])
def test_a_control_character_is_only_a_warning(tmp_path: Path, character: str) -> None:
    report = check(tmp_path, line(example(f"a{character}b")))
    assert found(report) == [(11, "control_character", "warning")] and report.valid and report.examples == 11


SEPARATORS = ["\u2028", "\u2029", "\x85"]


@pytest.mark.parametrize("separator", SEPARATORS, ids=ascii)
def test_a_line_separator_that_is_not_escaped_is_a_warning(tmp_path: Path, separator: str) -> None:
    """`str.splitlines` ends a line there, so a reader that uses it finds two halves of an example."""
    report = check(tmp_path, line(example(f"a{separator}b")))
    assert (11, "line_separator", "warning") in found(report) and report.valid and report.examples == 11
    message = next(problem.message for problem in report.problems if problem.code == "line_separator")
    assert r"\u2028" in message


@pytest.mark.parametrize("separator", ["\u2028", "\u2029"], ids=ascii)
def test_an_escaped_line_separator_is_right(tmp_path: Path, separator: str) -> None:
    report = check(tmp_path, line(example(f"a{separator}b"), ensure_ascii=True))
    assert found(report) == [] and report.examples == 11


@pytest.mark.parametrize("separator", SEPARATORS, ids=ascii)
def test_the_line_that_the_kit_writes_is_one_line_for_every_reader(separator: str) -> None:
    about = SimpleNamespace(question=f"a{separator}b", explanation="Count on.", follow_up="So it’s 22?")
    made = example_line(SimpleNamespace(metadata=about, response=f"No{separator}."))
    assert len(made.splitlines()) == 1 and json.loads(made)["messages"][2]["content"] == f"No{separator}."
    assert "line_separator" not in codes(made.encode())


OTHER_FAMILIES = [
    ("<<SYS>>", "Llama 2"), ("[INST]", "Mistral"), ("[/INST]", "Mistral"), ("</s>", "Llama 2"), ("[TOOL_CALLS]", "Mistral"),
    ("<|header_start|>", "Llama 4"), ("<|eot|>", "Llama 4"), ("<start_of_turn>", "Gemma"), ("<turn|>", "Gemma"),
    ("<｜begin▁of▁sentence｜>", "DeepSeek"), ("<｜User｜>", "DeepSeek"), ("<|vision_start|>", "Qwen"), ("<|image_pad|>", "Qwen"),
    ("<|START_OF_TURN_TOKEN|>", "Cohere"), ("<|CHATBOT_TOKEN|>", "Cohere"), ("<| endoftext |>", "misspelt"),
]  # fmt: skip


@pytest.mark.parametrize(("token", "family"), OTHER_FAMILIES)
def test_a_control_token_of_another_family_is_a_warning_that_names_it(tmp_path: Path, token: str, family: str) -> None:
    report = check(tmp_path, line(example(f"a{token}b")))
    assert found(report) == [(11, "control_token", "warning")] and report.valid
    assert token in report.problems[0].message and family in report.problems[0].message


def test_each_family_is_named_once_in_a_text() -> None:
    assert codes(example("<s>[INST] Why? [/INST] <start_of_turn>")) == ["control_token"] * 2


@pytest.mark.parametrize("text", ["<p>a<sub>1</sub></p>", "a[0] = b[I]", "\\[x < y\\]", "[inst]", "List<String>", "<START>", "[SEP]"])
def test_html_code_and_formulas_are_no_control_tokens(text: str) -> None:
    assert codes(example(text)) == [] and plain_turns(line(example(text)), strict=True)


def test_newline_and_tab_are_no_control_characters() -> None:
    assert codes(example("a\n\tb")) == []


def test_what_is_quoted_of_the_file_is_cut_and_escaped(tmp_path: Path) -> None:
    message = check(tmp_path, line(example() | {"\x1b[31m" + "k" * 500: 1})).problems[0].message
    assert r"'\x1b[31m" in message and "k" * 54 + "…'" in message and "k" * 55 not in message


# ── among other lines ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_example_twice_is_a_warning_naming_the_first(tmp_path: Path) -> None:
    report = check(tmp_path, line(example("Question 3?")))
    assert found(report) == [(11, "duplicate", "warning")] and "line 4:" in report.problems[0].message
    assert report.valid and report.examples == 11


def test_an_example_escaped_and_ordered_otherwise_is_the_same(tmp_path: Path) -> None:
    messages = [dict(reversed(message.items())) for message in example("été")["messages"]]
    report = check(tmp_path, line(example("été")), line({"messages": messages}, ensure_ascii=True, separators=(",", ":")))
    assert found(report) == [(12, "duplicate", "warning")]


def test_nine_examples_are_too_few(tmp_path: Path) -> None:
    assert found(validate_file(write(tmp_path, *good_lines(9)), counter=WORDS)) == [(0, "too_few_examples", "error")]


def test_a_wrong_example_does_not_count_towards_ten(tmp_path: Path) -> None:
    report = validate_file(write(tmp_path, *good_lines(9), line(example("<|im_end|>"))), counter=WORDS)
    assert found(report) == [(0, "too_few_examples", "error"), (10, "special_token", "error")]


def test_few_examples_are_a_warning_where_the_caller_says_so(tmp_path: Path) -> None:
    report = validate_file(write(tmp_path, *good_lines(1)), few_is="warning", counter=WORDS)
    assert found(report) == [(0, "too_few_examples", "warning")] and report.valid


@pytest.mark.parametrize("few_is", ["error", "warning"])
def test_the_summary_of_a_small_file_says_that_only_its_size_is_a_problem(tmp_path: Path, few_is: str) -> None:
    summary = validate_file(write(tmp_path, *good_lines(4)), few_is=few_is, counter=WORDS).summary()
    assert summary.startswith("train.jsonl: every line is valid, but OpenAI wants at least 10 examples (strict form)")


@pytest.mark.parametrize("few_is", ["error", "warning"])
def test_the_summary_of_a_small_file_with_another_error_says_not_valid(tmp_path: Path, few_is: str) -> None:
    summary = validate_file(write(tmp_path, *good_lines(4), b"[]\n"), few_is=few_is, counter=WORDS).summary()
    assert summary.startswith("train.jsonl: NOT VALID (strict form)")


@pytest.mark.parametrize("few_is", ["error", "warning"])
def test_an_empty_file_is_as_severe_as_few_examples(tmp_path: Path, few_is: str) -> None:
    report = validate_file(write(tmp_path), few_is=few_is, counter=WORDS)
    assert found(report) == [(0, "empty_file", few_is)] and report.valid == (few_is == "warning")


@pytest.mark.parametrize("name", ["train.json", "train.txt", "train", "train.jsonl.gz"])
def test_another_ending_than_jsonl_is_an_error(tmp_path: Path, name: str) -> None:
    report = validate_file(write(tmp_path, *good_lines(), name=name), counter=WORDS)
    assert found(report) == [(0, "wrong_ending", "error")]


def test_a_file_over_the_size_limit_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(map(len, good_lines()))
    monkeypatch.setattr("lib.validate.check.MAX_FILE_BYTES", size)
    assert check(tmp_path).valid
    monkeypatch.setattr("lib.validate.check.MAX_FILE_BYTES", size - 1)
    assert found(check(tmp_path)) == [(0, "too_large", "error")]


def test_all_problems_are_counted_and_the_first_ones_shown(tmp_path: Path) -> None:
    report = check(tmp_path, *[b"[]\n"] * 100, shown=7)
    assert [problem.line for problem in report.problems] == [11, 12, 13, 14, 15, 16, 17]
    assert (report.counts, report.errors) == ({"not_object": 100}, 100)


def test_problems_of_the_whole_file_are_shown_before_a_hundred_lines(tmp_path: Path) -> None:
    report = validate_file(write(tmp_path, *[b"[]\n"] * 100, name="train.txt"), shown=3, counter=WORDS)
    assert [(problem.line, problem.code) for problem in report.problems] == [
        (0, "wrong_ending"),
        (0, "too_few_examples"),
        (1, "not_object"),
    ]


def test_a_missing_file_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingFileError, match=r"nowhere\.jsonl can't be read \(No such file or directory\)"):
        validate_file(tmp_path / "nowhere.jsonl")


def test_who_requires_a_valid_file_stops_at_an_error_and_reads_the_first(tmp_path: Path) -> None:
    require_valid(check(tmp_path, line(example("Question 3?"))))  # a duplicate is only a warning
    with pytest.raises(TrainingFileError, match=r"train\.jsonl is not valid \(errors: 2\)\. The first is line 11 blank_line The line is"):
        require_valid(check(tmp_path, b"\n", b"[]\n"))


def test_a_folder_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(TrainingFileError, match="is not a file"):
        validate_file(tmp_path)


def peak_memory(path: Path) -> int:
    validate_file(path, counter=WORDS)  # caches and imports first
    tracemalloc.start()
    validate_file(path, counter=WORDS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_examples(tmp_path: Path) -> None:
    path = write(tmp_path, *(line(example(f"{number} " + "x" * 10_000)) for number in range(500)))
    assert peak_memory(path) < 1_000_000 < path.stat().st_size / 5


def test_memory_does_not_grow_with_the_problems(tmp_path: Path) -> None:
    assert peak_memory(write(tmp_path, b"[]\n" * 50_000)) < 1_000_000


# ── the general form ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_several_turns_without_system_prompt_are_right_in_general_only() -> None:
    value = {"messages": [asked(), answered(), asked(content="And then?"), answered()]}
    assert codes(value, strict=False) == [] and codes(value) == ["wrong_roles"]


def test_tools_calls_and_their_answers_are_right_in_general() -> None:
    turns = [asked(), answered(content=None, tool_calls=[CALL]), {"role": "tool", "tool_call_id": "c1", "content": "done"}, answered()]
    assert general(*turns, tools=[TOOL], parallel_tool_calls=False) == []


def called(*ids: str, **function: object) -> dict:
    calls = [CALL | {"id": name, "function": CALL["function"] | function} for name in ids]  # type: ignore[operator]
    return {"role": "assistant", "tool_calls": calls}


def told(name: str) -> dict:
    return {"role": "tool", "tool_call_id": name, "content": "done"}


@pytest.mark.parametrize(
    ("turns", "code"),
    [
        ([told("nope")], "unknown_tool_call_id"),
        ([called("c1"), told("c1"), answered(), told("c1")], "unknown_tool_call_id"),
        ([called("c1", "c2"), told("c1"), told("c2"), told("c2")], "duplicate_tool_call_id"),
        ([called("c1", "c1"), told("c1")], "duplicate_tool_call_id"),
        ([called("c1", "c2"), told("c2")], "unanswered_tool_call"),
        ([called("c1"), asked()], "unanswered_tool_call"),
        ([called("c1"), called("c2"), told("c2")], "unanswered_tool_call"),
    ],
    ids=["orphan", "too late", "answered twice", "asked twice", "one of two", "none", "asked again"],
)
def test_each_tool_call_is_answered_once_by_its_id_right_after_it(tmp_path: Path, turns: list[dict], code: str) -> None:
    value = {"messages": [asked(), *turns, answered()], "tools": [TOOL]}
    assert found(check(tmp_path, line(value), strict=False)) == [(11, code, "error")]


def test_an_example_may_end_with_a_call_answers_may_come_in_any_order_and_a_later_call_may_use_an_id_again() -> None:
    assert general(asked(), called("c1", "c2"), told("c2"), told("c1"), answered(), asked(), called("c1")) == []


def test_a_call_of_another_shape_is_one_flaw_and_its_answers_are_none() -> None:
    assert general(asked(), answered(tool_calls=[{"id": "c1"}]), told("c1"), answered()) == ["wrong_tool_calls"]


@pytest.mark.parametrize("name", ["plot it", "math.plot", "plöt", "x" * 65, "plot\n"])
def test_a_functions_name_has_up_to_64_letters_digits_and_hyphens(name: str) -> None:
    assert general(asked(), called("c1", name=name)) == ["wrong_function_name"]
    assert general(asked(), answered(content=None, function_call={"name": name, "arguments": "{}"})) == ["wrong_function_name"]
    assert general(asked(), answered(), tools=[{"type": "function", "function": {"name": name}}]) == ["wrong_function_name"]
    assert general(asked(), answered(), functions=[{"name": name}]) == ["wrong_function_name"]
    assert general(asked(), {"role": "function", "name": name, "content": "1"}, answered()) == ["wrong_function_name"]


@pytest.mark.parametrize("name", ["p", "x" * 64, "get_Weather-2"])
def test_a_usual_function_name_is_right(name: str) -> None:
    assert general(asked(), called("c1", name=name)) == []


@pytest.mark.parametrize("arguments", ["", "x^2", "{'of': 1}", "[1]", "3", '{"of": NaN}', "[" * 100_000], ids=lambda text: text[:10])
def test_arguments_that_are_no_json_object_are_a_warning(tmp_path: Path, arguments: str) -> None:
    value = {"messages": [asked(), called("c1", arguments=arguments)]}
    assert found(check(tmp_path, line(value), strict=False)) == [(11, "arguments_not_json", "warning")]


@pytest.mark.parametrize(("count", "expected"), [(128, []), (129, [(11, "too_many_tools", "warning")])])
def test_more_than_128_tools_are_a_warning(tmp_path: Path, count: int, expected: list) -> None:
    value = {"messages": [asked(), answered()], "tools": [TOOL] * count}
    assert found(check(tmp_path, line(value), strict=False)) == expected


def test_an_example_whose_every_answer_has_weight_0_teaches_nothing(tmp_path: Path) -> None:
    value = {"messages": [asked(), answered(weight=0), asked(), answered(weight=0)]}
    assert found(check(tmp_path, line(value), strict=False)) == [(11, "nothing_to_learn", "error")]
    assert general(asked(), answered(weight=0), asked(), answered()) == []


def test_functions_of_the_older_form_are_right_in_general() -> None:
    call = {"role": "assistant", "function_call": {"name": "plot", "arguments": "{}"}}
    assert general(asked(), call, {"role": "function", "name": "plot", "content": ""}, answered(), functions=[{"name": "plot"}]) == []


def test_developer_name_weight_and_text_parts_are_right_in_general() -> None:
    parts = [{"type": "text", "text": "Why"}, {"type": "text", "text": "?"}]
    turns = [{"role": "developer", "content": SYSTEM}, asked(content=parts, name="ann"), answered(weight=0), asked(), answered(weight=1)]
    assert general(*turns) == []


@pytest.mark.parametrize("weight", [2, 0.5, -1, "1", True, None])
def test_a_weight_is_zero_or_one(weight: object) -> None:
    assert general(asked(), answered(weight=weight)) == ["wrong_weight"]


def test_only_the_assistant_has_a_weight() -> None:
    assert general(asked(weight=1), answered()) == ["extra_key"]


def test_an_unknown_role_is_an_error() -> None:
    assert general({"role": "human", "content": "Why?"}, answered()) == ["unknown_role"]


def test_a_role_that_is_no_text_is_unknown() -> None:
    assert general({"role": ["user"], "content": "Why?"}, answered()) == ["unknown_role"]


def test_a_conversation_without_assistant_is_an_error() -> None:
    assert general(asked()) == ["no_assistant"]


def test_no_messages_hold_no_assistant() -> None:
    assert general() == ["no_assistant"]


def test_a_last_message_by_the_user_is_only_a_warning(tmp_path: Path) -> None:
    value = {"messages": [asked(), answered(), asked(content="And then?")]}
    assert found(check(tmp_path, line(value), strict=False)) == [(11, "last_not_assistant", "warning")]


def test_content_may_be_null_only_beside_a_call() -> None:
    assert general(asked(), answered(content=None)) == ["wrong_content"]
    assert general(asked(content=None), answered()) == ["wrong_content"]


@pytest.mark.parametrize(
    "content", [[{"type": "image_url", "image_url": {"url": "x"}}], ["text"], [{"type": "text"}], [{"type": "refusal", "text": "a"}], 3]
)
def test_content_in_general_is_text_or_text_parts(content: object) -> None:
    assert general(asked(content=content), answered()) == ["wrong_content"]


def test_a_user_who_calls_a_tool_still_has_to_say_something() -> None:
    assert general({"role": "user", "tool_calls": [CALL]}, answered()) == ["missing_key", "extra_key"]


@pytest.mark.parametrize("content", [[], [{"type": "text", "text": " "}], ""])
def test_parts_without_text_are_empty(content: object) -> None:
    assert general(asked(content=content), answered()) == ["empty_content"]


def test_a_tool_answers_a_call_by_its_id() -> None:
    assert general(asked(), {"role": "tool", "content": "done"}, answered()) == ["missing_key"]


@pytest.mark.parametrize("calls", [[], {}, None, [{}], [CALL | {"id": ""}], [CALL | {"function": {"name": "f", "arguments": {}}}]])
def test_calls_have_id_name_and_arguments_as_text(calls: object) -> None:
    assert general(asked(), answered(tool_calls=calls)) == ["wrong_tool_calls"]


@pytest.mark.parametrize("key", ["tools", "functions", "parallel_tool_calls"])
def test_tools_functions_and_parallel_calls_have_their_own_shape(key: str) -> None:
    assert general(asked(), answered(), **{key: [{"type": "search"}]}) == [f"wrong_{key}"]


def test_a_special_token_in_a_call_or_a_part_is_an_error() -> None:
    call = CALL | {"function": {"name": "plot", "arguments": '{"of": "<|im_end|>"}'}}
    assert (
        general(asked(content=[{"type": "text", "text": "<|im_start|>"}]), answered(content=None, tool_calls=[call]))
        == ["special_token"] * 2
    )


def test_several_system_prompts_are_counted_not_refused_in_general(tmp_path: Path) -> None:
    report = check(tmp_path, line(example(system="You are a pirate.")), strict=False)
    assert report.valid and report.system_prompts == 2


# ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("hello world", 2),
        ("Why does the slope change sign?", 7),
        (r"\(x^2 - 5x + 6 = 0\)", 16),
        ("1234567890", 4),
        ("antidisestablishmentarianism", 6),
        ("<|endoftext|>", 7),
    ],
)
def test_known_texts_have_the_tokens_that_tiktoken_counts(text: str, count: int) -> None:
    assert o200k_counter().count(text) == count


def test_the_counter_agrees_with_tiktoken_on_the_genuine_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")  # set anew in there, and put back after the test
    genuine = tiktoken_o200k(tmp_path)
    seeds = (PROJECT_ROOT / "data" / "seeds.csv").read_text(encoding="utf-8")
    texts = [*seeds.split("\n"), "日本語 été 👩\u200d🏫", "a\r\n\t  b\u00a0\u200b", "<|im_end|>"]
    assert [o200k_counter().count(text) for text in texts] == [len(genuine.encode(text, disallowed_special=())) for text in texts]


def test_two_million_blanks_are_counted_in_time() -> None:
    assert o200k_counter().count(" " * 2_000_000) == 15_625  # 128 blanks are one token


def test_an_example_has_three_tokens_a_message_and_three_more(tmp_path: Path) -> None:
    short, long = line(example("one two", "three")), line(example("one two three", "four five six seven"))
    report = validate_file(write(tmp_path, short, long), counter=WORDS, few_is="warning")
    # 5 (system) + 2 + 1 + 12 = 20, and 5 + 3 + 4 + 12 = 24
    assert report.tokens.model_dump() == {
        "total": 44, "mean": 22.0, "max": 24, "by_role": {"system": 10, "user": 5, "assistant": 5}, "exact": True,
    }  # fmt: skip


def test_an_example_over_the_limit_is_an_error_and_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.validate.check.MAX_TOKENS", 23)
    # ten lines of 5 + 2 + 4 + 12 = 23, then one of 5 + 3 + 4 + 12 = 24
    report = check(tmp_path, line(example("one two three")))
    assert found(report) == [(11, "too_many_tokens", "error")]
    assert (report.examples, report.tokens.total, report.tokens.max) == (10, 230, 23)


def test_the_default_limit_is_65_536_tokens(tmp_path: Path) -> None:
    fitting = 65_536 - 12 - 5 - 4
    assert found(check(tmp_path, line(example("a " * fitting)))) == []
    assert found(check(tmp_path, line(example("a " * (fitting + 1))))) == [(11, "too_many_tokens", "error")]


def test_calls_and_tools_have_tokens_too(tmp_path: Path) -> None:
    turns = {"messages": [asked(), answered(content=None, tool_calls=[CALL])], "tools": [TOOL]}
    by_role = validate_file(write(tmp_path, line(turns)), strict=False, counter=WORDS).tokens.by_role
    assert by_role["assistant"] > 0 and by_role["tools"] > 0


@pytest.fixture
def no_tokenizer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "bpe_openai._bindings", None)
    tokens.o200k_counter.cache_clear()
    yield
    tokens.o200k_counter.cache_clear()


@pytest.mark.usefixtures("no_tokenizer")
def test_without_the_tokenizer_tokens_are_estimated_and_said_to_be(tmp_path: Path) -> None:
    report = validate_file(write(tmp_path, line(example("x" * 47, "y" * 94, system="z" * 470))))
    assert report.tokens.by_role == {"system": 100, "user": 10, "assistant": 20}  # 4.7 characters a token
    assert report.tokens.exact is False and "ESTIMATED" in report.summary()


# ── properties ───────────────────────────────────────────────────────────────────────────────────────────────────────

SEEN = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="<[")
PLAIN = st.text(SEEN, min_size=1).filter(lambda text: not is_blank(text))
RIGHT = line(example("Why is it so", "Because"))
STRUCTURE = [place for place, byte in enumerate(RIGHT) if byte in b'{}[]:,"']
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "type", "text", "name", "function", "id"]), inner)
    ),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "function"]), "content": JSON},
    optional={"tool_calls": JSON, "function_call": JSON, "weight": JSON, "name": JSON, "refusal": JSON, "tool_call_id": JSON},
)


@given(texts=st.tuples(PLAIN, PLAIN, PLAIN), ensure_ascii=st.booleans())
def test_any_three_plain_texts_are_a_right_line(texts: tuple[str, str, str], ensure_ascii: bool) -> None:
    system, user, assistant = texts
    value = example(user, assistant, system=system)
    assert checked_line(line(value, ensure_ascii=ensure_ascii)) == (value, [])


@given(place=st.sampled_from(STRUCTURE))
def test_a_line_without_one_of_its_brackets_quotes_or_commas_is_not_json(place: int) -> None:
    assert codes(RIGHT[:place] + RIGHT[place + 1 :]) == ["not_json"]


def test_any_one_changed_byte_is_named_by_its_code() -> None:
    lines = (RIGHT[:place] + bytes([byte]) + RIGHT[place + 1 :] for place in range(len(RIGHT) - 1) for byte in range(256) if byte != 10)
    unnamed = [
        (changed, expected_code(changed), codes(changed)) for changed in lines if expected_code(changed) not in (codes(changed) or [""])
    ]
    assert unnamed == []


def expected_code(raw: bytes) -> str:
    """Judge a line by other means than the validator's: Python's own codec and parser, and the shape written out."""
    try:
        value = json.loads(raw.decode())
    except UnicodeDecodeError:
        return "not_utf8"
    except ValueError:
        return "not_json"
    if b"\r" in raw:
        return "crlf"
    if list(value) != ["messages"]:
        return "missing_key"
    if not all(set(message) == {"role", "content"} for message in value["messages"]):
        return "extra_key"
    if [message["role"] for message in value["messages"]] != ["system", "user", "assistant"]:
        return "wrong_roles"
    text = "".join(message["content"] for message in value["messages"])
    return "control_character" if any(category(character) == "Cc" and character not in "\n\t" for character in text) else ""


@given(raw=st.binary(), strict=st.booleans())
def test_no_bytes_at_all_raise(raw: bytes, strict: bool) -> None:
    example_found, flaws = checked_line(raw, strict=strict)
    assert flaws or example_found is not None


@given(messages=st.lists(MESSAGE, max_size=4) | JSON, beside=JSON, strict=st.booleans())
def test_no_json_at_all_raises_and_what_passes_has_an_assistant(messages: object, beside: object, strict: bool) -> None:
    found_example, flaws = checked_line(line({"messages": messages, "tools": beside}, ensure_ascii=True), strict=strict)
    assert flaws or found_example is not None
    assert found_example is None or "assistant" in [message["role"] for message in found_example["messages"]]


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_ends_with_0_for_a_valid_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", str(write(tmp_path, *good_lines()))]) == 0
    assert capsys.readouterr().out.startswith("train.jsonl: valid (strict form), errors: 0")


def test_the_command_ends_with_1_and_prints_the_problems_of_a_wrong_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = good_lines()[0].replace(b'"role"', b'"role": "x", "role"', 1)
    assert main(["validate", str(write(tmp_path, *good_lines(), b"\n", twice))]) == 1
    words = [printed.split()[:3] for printed in capsys.readouterr().out.splitlines()]
    assert ["line", "11", "blank_line"] in words and ["line", "12", "duplicate_key"] in words


def test_the_command_says_how_many_problems_it_does_not_print(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["validate", str(write(tmp_path, *good_lines(), *[b"\n"] * 60))])
    assert capsys.readouterr().out.endswith("... and 40 more\n")


def test_the_command_ends_with_2_and_one_line_for_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lib.commands", "validate", str(tmp_path / "no.jsonl")], capture_output=True, text=True, cwd=PROJECT_ROOT
    )
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and "no.jsonl can't be read" in done.stderr


def test_the_command_takes_the_general_form(tmp_path: Path) -> None:
    path = write(tmp_path, *(line({"messages": [asked(content=f"{number}?"), answered()]}) for number in range(10)))
    assert (main(["validate", str(path)]), main(["validate", str(path), "--general"])) == (1, 0)


def test_the_command_writes_its_report(tmp_path: Path) -> None:
    path = write(tmp_path, *good_lines())
    main(["validate", str(path), "--report", str(tmp_path / "out.json")])
    assert Report.model_validate_json((tmp_path / "out.json").read_text(encoding="utf-8")) == validate_file(path)


def test_a_report_never_overwrites_the_checked_file(tmp_path: Path) -> None:
    path = write(tmp_path, *good_lines())
    assert main(["validate", str(path), "--report", str(path)]) == 2 and path.read_bytes() == b"".join(good_lines())


def test_a_relative_name_is_taken_from_the_projects_root_when_it_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "root").mkdir()
    write(tmp_path / "root", *good_lines())
    monkeypatch.setattr("lib.settings.paths.PROJECT_ROOT", tmp_path / "root")
    monkeypatch.chdir(tmp_path / "here")
    assert main(["validate", "train.jsonl"]) == 0
    write(tmp_path / "here", b"[]\n")
    assert main(["validate", "train.jsonl"]) == 1


def test_importing_the_package_loads_no_tokenizer_and_no_other_heavy_package() -> None:
    heavy = ("tiktoken", "bpe_openai", "pandas", "anthropic", "openai")
    code = f"import sys, lib.validate; print([name for name in sys.modules if name.startswith({heavy})])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT_ROOT).stdout == "[]\n"


# ── the quick way ────────────────────────────────────────────────────────────────────────────────────────────────────

PIECES = [*'aé−"\\/ <|>n\n\t\r\b\f\x00\x1f\x7f\x85\u2028\u200b', "<|endoftext|>", "<s>", "[INST]", "<｜User｜>", '", "', '"}, {"', "word"]
AWKWARD = st.lists(st.sampled_from(PIECES), max_size=6).map("a/".join)
ROLES = st.sampled_from([("system", "user", "assistant"), ("user", "assistant"), ("user",), ("tool", "assistant"), ()])
TURNS = ROLES.flatmap(lambda roles: st.tuples(*(AWKWARD for _ in roles)).map(lambda texts: list(zip(roles, texts, strict=True))))
WRITTEN = st.sampled_from([{}, {"ensure_ascii": False}, {"ensure_ascii": False, "separators": (",", ":")}])
SPOILT = st.sampled_from(
    [
        (b"", b""), (b'"role"', b'"role": "user", "role"'), (b'"content"', b'"content":"","content"'), (b"/", b"\\/"), (b"a", b"\\u0061"),
        (b'"messages"', b'"messages": [], "messages"'), (b": ", b":"), (b"{", b"{ "), (b"}\n", b"}\r\n"), (b"]}\n", b"]}"),
        (b'"role"', b'"r\\u006fle"'),
    ]
)  # fmt: skip


@hypothesis_settings(max_examples=500, deadline=None)
@given(turns=TURNS, written=WRITTEN, spoilt=SPOILT, strict=st.booleans())
def test_what_the_quick_way_finds_right_the_thorough_one_finds_right(
    turns: list[tuple[str, str]], written: dict, spoilt: tuple[bytes, bytes], strict: bool
) -> None:
    value = {"messages": [{"role": role, "content": text} for role, text in turns]}
    raw = line(value, **written).replace(*spoilt, 1)
    found, (thorough, flaws) = plain_turns(raw, strict=strict), checked_line(raw, strict=strict)
    if found:
        assert (thorough, flaws) == (value, [])
        assert canonical_form(thorough) == found[1]


@pytest.mark.parametrize("style", [{}, {"separators": (",", ":")}], ids=["spaced", "compact"])
def test_a_usual_line_takes_the_quick_way(style: dict) -> None:
    assert plain_turns(line(example("Why is $\\\\frac{a}{b}$ “so”?\n\nI − mean it."), **style), strict=True)


def test_an_example_repeats_another_however_either_is_written(tmp_path: Path) -> None:
    value = example("Why “so”?")
    report = check(tmp_path, line(value), line(value, ensure_ascii=True), line(value, separators=(",", ":")))
    assert found(report) == [(12, "duplicate", "warning"), (13, "duplicate", "warning")]


@pytest.mark.parametrize(("examples", "epochs"), [(1, 25), (10, 10), (33, 3), (34, 3), (1000, 3), (8333, 3), (8334, 2), (30_000, 1)])
def test_epochs_are_those_of_the_cookbook(examples: int, epochs: int) -> None:
    """At least 100 examples seen in all, at most 25,000, else three times each: 100 // 10, 25,000 // 8,334."""
    assert usual_epochs(examples) == epochs


def test_training_costs_what_the_given_price_says_and_nothing_is_said_without_one(tmp_path: Path) -> None:
    """Ten examples of 5 + 2 + 4 words and 12 more tokens: 230; ten epochs of them at 3 dollars a million."""
    report = check(tmp_path, usd_per_mtok=3.0)
    assert report.training.model_dump() == {"epochs": 10, "tokens": 2300, "cost_usd": 0.0069}
    unpriced = check(tmp_path, epochs=2)
    assert (unpriced.training.tokens, unpriced.training.cost_usd) == (460, None)
    assert "training: 2 epochs, 460 tokens; multiply by your trainer's price" in unpriced.summary()


def test_without_tokens_everything_else_is_checked_all_the_same(tmp_path: Path) -> None:
    report = check(tmp_path, line(example(system="Another.")), count_tokens=False)
    assert (report.tokens, report.counts) == (None, {"system_prompt_differs": 1})
    assert "tokens" not in report.summary()
