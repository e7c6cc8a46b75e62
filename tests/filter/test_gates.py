"""What no rubric sees is found before the judge is paid. Stock phrases don't fire; copies, near-duplicates and formulas do."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.analyze.statistics import statistics
from lib.filter.gates import GATES, Given, benchmark_of, copied_explanation, length_far_off, special_token
from lib.filter.judge import to_judge
from lib.filter.keep import VERDICT_REASONS
from lib.filter.near import NearTexts
from lib.filter.similar import Formulas, Limit, NearDuplicates, Shared, closing, opening, question_and_follow_up, shared
from lib.generate.benchmark import BenchmarkError, read_benchmark, word_sequences
from lib.generate.seeds import SeedFile
from lib.generate.words import words
from lib.run.files import RunError, read_jsonl, write_jsonl
from lib.run.manifest import read_manifest
from lib.run.records import made_samples
from lib.run.run import Run
from lib.schema import Decision, Sample
from lib.settings import Settings
from tests.build import a_sample, a_seed, an_evaluation, gate, generate, rubrics_of, tables, write_run
from tests.provider import Provider

LIMIT = Limit(words=20, share=0.25)
LONG = (
    "A toll bridge has already cost nine million and needs two million more before it can open. Traffic forecasts have been halved since "
    "the work began, so that only one and a half million of tolls can now be expected over its whole life."
)
OTHER = (
    "Two siblings inherit a vineyard together. The older wants to sell her half, the younger to keep growing grapes, and a neighbour "
    "offers a price that depends on both of them signing the same paper before the harvest begins."
)
unhurried = hypothesis_settings(deadline=None)  # the machine may be busy


def written(response: str, *, words: tuple[int, int] = (90, 150), **about: str) -> Sample:
    sample = a_sample(response=response, **about)
    style = sample.metadata.style.model_copy(update={"words": words})
    return sample.model_copy(update={"metadata": sample.metadata.model_copy(update={"style": style})})


# ── one sample ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("count", "passes"), [(44, False), (45, True), (90, True), (150, True), (225, True), (226, False)], ids=lambda value: str(value)
)
def test_a_response_may_leave_its_assigned_length_by_half(count: int, passes: bool) -> None:
    """90 · 0.5 = 45 and 150 · 1.5 = 225 words."""
    assert (length_far_off(written("word " * count), tolerance=0.5) == "") == passes


@pytest.mark.parametrize("name", ["question", "explanation", "follow_up"])
def test_a_control_token_anywhere_drops_the_sample(name: str) -> None:
    assert special_token(a_sample(**{name: "It ends.<|endoftext|>"})) == f"{name} holds <|endoftext|>"


@pytest.mark.parametrize(
    "token", ["<start_of_turn>", "[/INST]", "<<SYS>>", "<|eot|>", "<｜User｜>", "<|vision_start|>", "<|END_OF_TURN_TOKEN|>", "[TOOL_CALLS]"]
)
def test_an_unmistakable_control_token_of_any_family_drops_the_sample(token: str) -> None:
    assert special_token(a_sample(response=f"So it is.{token}")) == f"response holds {token}"


@pytest.mark.parametrize(
    "text", ["Use <s>old</s> to strike through.", "Write [INST] first.", "git log [ARGS]", "[IMG]a.png[/IMG]", "<pad> fills up", "<|step|>"]
)
def test_a_token_that_also_stands_in_lessons_does_not_drop_the_sample(text: str) -> None:
    assert special_token(a_sample(response=text)) == ""


def test_an_average_in_physics_is_no_control_token() -> None:
    assert special_token(a_sample(response="The mean speed <|v|> is not |<v>|.")) == ""


def test_overlap_is_the_longest_run_and_the_share_of_eight_word_sequences() -> None:
    """12 words, 5 sequences; the middle ten words make 3 sequences in a row, a run of 3 + 7 words."""
    sequences = frozenset(word_sequences("b c d e f g h i j k"))
    assert shared("a b c d e f g h i j k l", sequences) == Shared(words=10, share=0.6)


def test_case_punctuation_and_line_breaks_do_not_hide_a_copy() -> None:
    sequences = frozenset(word_sequences(LONG))
    assert shared(LONG.upper().replace(" ", "\n").replace(".", " –"), sequences).share == 1.0


def as_html(text: str) -> str:
    return " ".join(f"<em>{word}</em>" for word in text.split())


DISGUISES: list[Callable[[str], str]] = [
    lambda text: " ".join(f"_{word}_" for word in text.split()),
    lambda text: " ".join(f"**{word}**" for word in text.split()),
    lambda text: "".join(f"{character}\u00ad" for character in text),
    lambda text: "\u200b".join(text),
    lambda text: text.replace(" ", "\u00a0").replace("e", "e\ufe0f"),
    lambda text: "> " + text.replace(". ", ".\n> "),
    lambda text: "".join(chr(ord(character) + 0xFEE0) if character.isalpha() else character for character in text),
    as_html,
]


@pytest.mark.parametrize("disguise", DISGUISES)
def test_markup_and_invisible_characters_do_not_hide_a_copy(disguise: Callable[[str], str]) -> None:
    assert words(disguise(LONG)) == words(LONG)
    assert NearDuplicates(question_and_follow_up, 0.7)(a_sample(question=LONG)) == ""
    assert copied_explanation(a_sample(explanation=LONG, response=disguise(LONG)), limit=LIMIT)


@pytest.mark.parametrize("text", ["Déjà vu à Zürich", "việt nam", "Ça é ñandú", "한국어 문장"])
def test_an_accent_may_be_a_character_of_its_own(text: str) -> None:
    assert words(normalize("NFD", text)) == words(normalize("NFC", text))


def test_each_character_of_chinese_japanese_and_thai_is_a_word() -> None:
    assert words("我们学习。") == ("我", "们", "学", "习")
    assert len(words("カタカナとひらがな")) == 9
    assert words("ไทย") == ("ไ", "ท", "ย")
    assert words("हिन्दी में") == ("हिन्दी", "में")


def test_a_copy_in_chinese_is_found() -> None:
    """28 characters, of which only the first is another: 27 in a row are more than the 20 that are allowed."""
    text = "桥梁已经花费九百万还需要两百万才能开放交通预测已经减半了"
    assert len(text) == 28
    assert copied_explanation(a_sample(explanation=text, response="船" + text[1:]), limit=LIMIT).startswith("response: 27 words in a row")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a == b", "a != b"), ("x < 3", "x > 3"), ("x ≤ 3", "x < 3"), ("5 + 2", "5 - 2"), ("x * y", "x / y"), ("a && b", "a || b"),
        ("!done", "done"), ("−3", "3"), ("p → q", "p ∧ q"), ("a × b", "a ÷ b"), ("x^2", "x+2"), ("f(a) - b", "f(a) / b"),
    ],
)  # fmt: skip
def test_another_operator_makes_another_text(one: str, other: str) -> None:
    assert words(one) != words(other)
    gate = NearDuplicates(lambda sample: sample.response, 0.7)
    assert [gate(a_sample(str(number), response=text)) for number, text in enumerate((one, other))] == ["", ""]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("x ≤ 3", "x <= 3"), ("a ≠ b", "a != b"), ("x − 1", "x - 1"), ("x=1", "x = 1"), ("well-known", "well known"), ("it – so", "it so"),
        ("- one\n- two", "one two"), ("# One\n=====\ntwo", "one two"), ("R&D", "r & d"), ("it’s", "it's"),
        ("e-mail and/or *a* b", "e mail and or a b"),
    ],
)  # fmt: skip
def test_another_way_to_write_it_is_the_same_text(text: str, same: str) -> None:
    assert words(text) == words(same)


@unhurried
@given(st.text(max_size=80))
def test_the_words_of_any_text_hold_no_blanks_and_stay_the_same_between_marks_that_cannot_be_seen(text: str) -> None:
    found = words(text)
    assert all(word and not any(character.isspace() or character == "_" for character in word) for word in found)
    assert words("\u200b" + text + "\u00ad\ufeff") == found


@unhurried
@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abc"), max_size=30))
def test_a_text_shares_no_more_words_than_it_has_and_all_with_itself(one: list[str], other: list[str]) -> None:
    found = shared(" ".join(one), frozenset(word_sequences(" ".join(other))))
    assert 0 <= found.words <= len(one) and 0 <= found.share <= 1
    itself = shared(" ".join(one), frozenset(word_sequences(" ".join(one))))
    assert itself.words == (len(one) if len(one) >= 8 else 0)


def test_the_first_explanation_given_again_is_dropped_and_a_quoted_phrase_is_not() -> None:
    phrase = " ".join(LONG.split()[:10])
    assert copied_explanation(a_sample(explanation=LONG, response=LONG), limit=LIMIT)
    assert not copied_explanation(a_sample(explanation=LONG, response=f"You read that “{phrase}”. {OTHER}"), limit=LIMIT)


# ── the set ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_question_with_other_numbers_is_a_near_duplicate() -> None:
    gate = NearDuplicates(question_and_follow_up, 0.7)
    assert gate(a_sample("a", question=f"{LONG} In 12 years.")) == ""
    assert gate(a_sample("b", question=f"{LONG} In 95 years.")) == "the same as a"


def test_a_question_with_a_few_words_changed_is_a_near_duplicate_and_another_one_is_not() -> None:
    gate = NearDuplicates(question_and_follow_up, 0.7)
    assert gate(a_sample("a", question=LONG)) == ""
    assert gate(a_sample("b", question=LONG.replace("bridge", "tunnel"))).endswith("the same as a")
    assert gate(a_sample("c", question=OTHER)) == ""


def test_near_texts_are_those_that_rensas_own_index_finds_and_in_its_order() -> None:
    """A hundred and twenty texts begin with up to 39 words that they share, and go on with 40 of their own."""
    from rensa import RMinHash, RMinHashLSH

    texts = [[*(f"same{word}" for word in range(number % 40)), *(f"{number}x{word}" for word in range(40))] for number in range(120)]
    before, index, hashes = NearTexts(permutations=126, bands=42), RMinHashLSH(threshold=0.5, num_perm=126, num_bands=42), list[RMinHash]()
    found = 0
    for number, text in enumerate(texts):
        minhash = RMinHash(num_perm=126, seed=1)
        minhash.update([" ".join(text[start : start + 3]) for start in range(len(text) - 2)])
        alike = [(other, str(other), minhash.jaccard(hashes[other])) for other in index.query(minhash)]
        assert before.near(before.minhash(text), similarity=0.2) == [near for near in alike if near[2] >= 0.2]
        found += len(alike)
        index.insert(number, minhash)
        hashes.append(minhash)
        before.add(str(number), before.minhash(text))
    assert found > 100


def test_a_folder_for_temporary_files_that_is_full_is_told_in_one_line() -> None:
    before = NearTexts(permutations=128, bands=32)
    before._index.execute("PRAGMA max_page_count = 3")
    with pytest.raises(RunError, match=r"^The folder for temporary files can't be used \(.*full\)\. Free some space, or .* TMPDIR\.$"):
        for number in range(100):
            before.add(str(number), before.minhash([str(number)]))


def test_texts_of_few_words_can_be_compared() -> None:
    gate = NearDuplicates(lambda sample: sample.response, 0.7)
    texts = ("", "no", "no", "yes")
    assert [gate(a_sample(str(number), response=text)) for number, text in enumerate(texts)] == ["", "", "the same as 1", ""]


def test_a_repaired_sample_may_ask_what_its_original_asked_and_nobody_else_may() -> None:
    gate = NearDuplicates(question_and_follow_up, 0.7)
    assert gate(a_sample("a", question=LONG)) == ""
    assert gate(a_sample("a_repaired", question=LONG, repaired_from="a")) == ""
    assert gate(a_sample("c", question=LONG)) == "the same as a"


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("You've got it. Does that help?", "you ve got", "does that help"),
        ("One sentence only", "one sentence only", "one sentence only"),
        ("It is 3.5 kg. (So what follows?) ", "it is 3", "so what follows"),
        ("**Bold** start, then on.\n\nWhat now?", "bold start then", "what now"),
        ("", "", ""),
    ],
)
def test_a_move_is_the_first_three_words_of_the_text_or_of_its_last_sentence(text: str, first: str, last: str) -> None:
    assert (opening(text), closing(text)) == (first, last)


def formulaic(gate: Formulas, count: int) -> list[bool]:
    """Return what the gate says of so many responses that open alike."""
    others = ({"explanation": str(number), "follow_up": str(number)} for number in range(count))
    return [bool(gate(a_sample(response="Great question you ask", **other))) for other in others]


def test_five_alike_are_no_formula_yet_and_the_sixth_is() -> None:
    assert formulaic(Formulas(opening, 0.05), 7) == [False] * 5 + [True] * 2


def test_above_a_hundred_samples_the_share_decides() -> None:
    gate = Formulas(opening, 0.1)
    for number in range(200):
        assert not gate(a_sample(str(number), explanation=f"e{number}", follow_up=f"f{number}", response=f"r{number} is it"))
    assert formulaic(gate, 30).count(False) == 23  # one tenth of 223, rounded up


@pytest.mark.parametrize("field", ["explanation", "follow_up", "response"])
def test_a_formula_is_found_in_each_of_the_three_written_fields(field: str) -> None:
    gate = Formulas(opening, 0.05)
    for number in range(6):
        texts = {name: f"{name} {number} x" for name in ("explanation", "follow_up", "response")} | {field: "I get that but"}
        said = gate(a_sample(str(number), **texts))
    assert said.startswith(f"{field}: “i get that")


def test_a_repaired_sample_is_no_formula_beside_its_own_original() -> None:
    """Explanation and follow-up are the original's and were counted with it."""
    gate = Formulas(opening, 0.05)
    for number in range(5):
        assert not gate(a_sample(str(number), explanation="It is all", follow_up=f"f{number} is so", response=f"r{number} is so"))
    for number in range(5):
        repaired = a_sample(f"{number}_repaired", explanation="It is all", response=f"s{number} is so", repaired_from=str(number))
        assert not gate(repaired)


@unhurried
@given(st.lists(st.sampled_from(["one two three", "four five six", "seven"]), max_size=60), st.integers(0, 60))
def test_a_longer_run_decides_on_its_first_samples_as_a_shorter_one_did(openings: list[str], cut: int) -> None:
    def decided(texts: list[str]) -> list[str]:
        gate = Formulas(opening, 0.05)
        return [gate(a_sample(str(number), response=text)) for number, text in enumerate(texts)]

    assert decided(openings)[:cut] == decided(openings[:cut])


# ── seeds and benchmark ──────────────────────────────────────────────────────────────────────────────────────────────


def first_reason(sample: Sample, settings: Settings, seed_file: SeedFile | None = None) -> str | None:
    given = Given(settings, seed_file, benchmark_of(settings))
    return next((reason for reason, gate in GATES.items() if gate(given)(sample)), None)


def test_a_question_copied_from_its_seed_is_dropped(tmp_path: Path) -> None:
    seed = a_seed(prompt=LONG, sha256="f" * 64)
    seed_file = SeedFile(tmp_path / "seeds.csv", "0" * 64, (seed,), (), 0)
    settings = Settings.of(length_tolerance=100)
    copied = a_sample(question=LONG, seed_sha256=seed.sha256)
    assert first_reason(copied, settings, seed_file) == "copied_seed"
    assert first_reason(a_sample(question=OTHER, seed_sha256=seed.sha256), settings, seed_file) is None


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    path = tmp_path / "bench mark.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([["PROMPT", "ANSWER"], [LONG, "What is the probability that at least one of the two is red?"]])
    return path


def test_what_overlaps_with_the_benchmark_is_dropped_in_whichever_field(benchmark: Path) -> None:
    settings = Settings.of(benchmark_csv=str(benchmark), length_tolerance=100)
    for field in ("question", "explanation", "follow_up"):
        assert first_reason(a_sample(**{field: f"Well. {LONG}"}), settings) == "benchmark_overlap"
    assert first_reason(a_sample(response=f"Well. {LONG}"), settings) == "benchmark_overlap"


def test_a_stock_phrase_of_the_benchmark_does_not_fire(benchmark: Path) -> None:
    """Eleven words in a row stand in the benchmark, as they stand in every book on the subject."""
    settings = Settings.of(benchmark_csv=str(benchmark), length_tolerance=100)
    stock = "what is the probability that at least one of the two"
    assert shared(f"{OTHER} So {stock} signs?", read_benchmark(benchmark).sequences).words == 11
    assert first_reason(a_sample(question=f"{OTHER} So {stock} signs?"), settings) is None


SENTENCE = "A ball is thrown up, and it slows down, since gravity pulls it, so at the top its speed is zero."  # 21 words
BENCHMARKS = {
    "b.csv": f'prompt,x\n"{SENTENCE}",1\n',
    "semicolons.csv": f"prompt;x\n{SENTENCE};1\n",
    "no quotes.csv": f"prompt\n{SENTENCE}\n",
    "no quotes, two columns.csv": f"prompt,x\n{SENTENCE},1\n",
    "no header.csv": f'1,"{SENTENCE}"\n',
    "b.tsv": f"prompt\tx\n{SENTENCE}\t1\n",
    "b.jsonl": "\n".join(json.dumps({"id": 1, "prompt": text}) for text in ("Short.", SENTENCE)) + "\n",
    "b.json": json.dumps({"version": 1, "rows": [{"turns": [{"content": SENTENCE}]}]}, indent=2),
    "keys.json": json.dumps({SENTENCE: "yes"}),
    "JSON lines.csv": json.dumps([SENTENCE]) + "\n" + json.dumps(["more"]) + "\n",
    "wrapped.tex": SENTENCE.replace(" ", chr(10)),
    "wrapped": SENTENCE.replace(" ", chr(10)),
    "b.txt": f'"Quoted" at first; not CSV.\n\n{SENTENCE.replace(", ", "," + chr(10))}\n',
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("name", "text"), BENCHMARKS.items(), ids=BENCHMARKS)
def test_a_benchmark_may_be_a_table_json_json_lines_or_text(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    assert shared(f"Well. {SENTENCE} Or not?", read_benchmark(path).sequences).words == 21


NO_BENCHMARKS: dict[str, bytes | None] = {
    "missing.csv": None,
    "noise.csv": b"\xff\xfe\x00",
    "empty.csv": b"",
    "header only.csv": b"prompt,answer\n",
    "short.csv": b"prompt\nWhy is the sky blue?\n",
    "numbers.csv": b"1,2,3,4,5,6,7,8,9,10\n",
    "empty.jsonl": b'{"prompt": "Why?"}\n',
    "cut.jsonl": json.dumps({"prompt": SENTENCE}).encode() + b'\n{"prompt": "A ba',
    "cut.json": b'[{"prompt": "A ball is thrown up and it',
    "paper.pdf": b"%PDF-1.7\n" + SENTENCE.encode(),
    "page.txt": b"<!doctype html><p>" + SENTENCE.encode(),
    "part_of_a_page.txt": b"<p class='x'>" + SENTENCE.encode(),
    "book.txt": b"PK\x03\x04" + SENTENCE.encode(),
    "open quote.csv": f'prompt\n"{SENTENCE}\n'.encode(),
    "legacy.txt": "为什么 7 是奇数?因为余一。".encode("gbk"),
}


@pytest.mark.parametrize(("name", "content"), NO_BENCHMARKS.items(), ids=NO_BENCHMARKS)
def test_a_benchmark_that_cannot_be_compared_with_is_one_line_and_never_a_pass(
    tmp_path: Path, settings: Settings, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    write_run(settings, [a_sample()])
    with pytest.raises(BenchmarkError, match=r"benchmark_csv|double the quotes") as caught:
        gate(settings.model_copy(update={"benchmark_csv": str(tmp_path / name)}))
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_run_records_and_says_how_much_the_benchmark_held(settings: Settings, tmp_path: Path) -> None:
    """Twenty-one words are 14 sequences of eight; of the five rows, the header and the last two hold none."""
    path = tmp_path / "my benchmark.csv"
    path.write_bytes(f'prompt\n"{SENTENCE}"\n"{SENTENCE}"\nShort.\n'.encode() + b'"caf\x81"\n')
    write_run(settings, [a_sample()])
    remarks = gate(settings.model_copy(update={"benchmark_csv": str(path)})).notes
    assert any("my benchmark.csv (rows: 5, different sequences of 8 words: 14)" in remark for remark in remarks)
    assert any("can't be compared: 3." in remark for remark in remarks)
    assert any("no text, around which words can't be compared: 1." in remark for remark in remarks)
    gating = read_manifest(Run(settings)).gating
    assert gating.benchmark == {"rows": 5, "sequences": 14}
    assert "benchmark_overlap" not in gating.not_checked


def test_a_benchmark_in_windows_1252_is_read_with_a_remark(tmp_path: Path) -> None:
    path = tmp_path / "b.csv"
    path.write_bytes("prompt\nDon’t say “naïve” unless it is, for once, really meant so.\n".encode("cp1252"))
    assert any("Windows-1252" in remark for remark in read_benchmark(path).remarks)


# ── a run ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_gate_drops_is_never_sent_to_the_judge(settings: Settings) -> None:
    samples = [a_sample("a", question=LONG), a_sample("b", question=LONG), a_sample("c", question=OTHER)]
    write_run(settings, samples)
    assert gate(settings.model_copy(update={"length_tolerance": 100.0})).dropped["near_duplicate_question"] == 1
    assert [sample.id for sample in to_judge(Run(settings))] == ["a"]  # c's response is that of a


def test_judging_before_the_gates_have_been_run_says_what_to_run(settings: Settings) -> None:
    write_run(settings, [a_sample()])
    Run(settings).gated.unlink()
    with pytest.raises(RunError, match="run 02_filter from its top"):
        to_judge(Run(settings))


def test_the_funnel_in_the_statistics_counts_every_step_in_order(settings: Settings) -> None:
    samples = [a_sample(name, rubrics=rubrics_of(5)) for name in "abcd"]
    gone = Decision(id="a", status="dropped", reason="special_token", detail="")
    evaluations = [an_evaluation(samples[1]), an_evaluation(samples[2], failed=["r1"])]
    found = statistics(tables(write_run(settings, samples, evaluations, gated=[gone])))
    steps = {step["step"]: (step["samples"], step["dropped"], step["left"]) for step in found["funnel"]}
    assert list(steps) == [*GATES, "unjudged", *VERDICT_REASONS]
    assert (steps["special_token"], steps["unjudged"], steps["critical_rubrics_failed"]) == ((4, 1, 3), (3, 1, 2), (2, 1, 1))
    assert (found["kept_samples"], found["removed_samples"], found["unjudged_samples"]) == (1, 2, 1)
    assert found["judge_pass_rate"] == 0.5


def test_gates_give_the_same_file_every_time(provider: Provider, settings: Settings) -> None:
    generate(settings)
    samples = list(made_samples(Run(settings)))
    write_jsonl(Run(settings).generated, [*samples, samples[0].model_copy(update={"id": "seed999_var1"})])
    once = gate(settings), Run(settings).gated.read_bytes()
    assert (gate(settings), Run(settings).gated.read_bytes()) == once
    assert list(read_jsonl(Run(settings).gated, Decision, made_by=""))


def test_a_seed_file_that_has_changed_since_is_said_and_not_compared(
    provider: Provider, settings: Settings, seed_file: SeedFile, tmp_path: Path
) -> None:
    path = tmp_path / "seeds.csv"
    path.write_bytes(seed_file.path.read_bytes())
    settings = settings.model_copy(update={"seeds_csv": str(path), "num_seeds": 1})
    generate(settings)
    assert not any("seed file" in remark for remark in gate(settings).notes)
    path.write_text(path.read_text("utf-8").replace("the", "teh", 1), "utf-8")
    assert any("gone or has changed" in remark for remark in gate(settings).notes)
