"""The kit's own seeds and topics: how many, how balanced, how different from one another, and nobody else's words.

BENCHMARK_CSV='Text Tutoring Prompts.csv' make test     compares them with a benchmark file as well
"""

import csv
import json
import os
import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from lib.analyze.marks import UNSURE
from lib.filter.similar import shingled_words
from lib.generate.objections import is_compound
from lib.generate.seeds import read_seeds
from lib.prompts.answers import EvalDimension, TutoringSkill
from lib.schema import WEIGHT_OF
from lib.settings import PROJECT_ROOT
from lib.taxonomy import MISCONCEPTION_TYPES, SUBJECTS

SEEDS_CSV, TOPICS_CSV = PROJECT_ROOT / "data" / "seeds.csv", PROJECT_ROOT / "data" / "topics.csv"
TEXTS = ("PROMPT", "UC1_INITIAL_EXPLANATION", "FOLLOW_UP_PROMPT")
TUTORBENCH_SUBJECTS = ("Physics", "Chemistry", "Biology", "Calculus", "Statistics", "Computer Science")
TYPES = tuple(kind.id for kind in MISCONCEPTION_TYPES)
WORD = re.compile(r"\w+")
RUN_WORDS = 10
SMALL_WORDS = set(
    "a an the of in on to for and or as by with from versus between after its is at into than per when that under not".split()
)
by_text = pytest.mark.parametrize("column", TEXTS)


def rows_of(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(2**31 - 1)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


SEEDS, TOPICS = rows_of(SEEDS_CSV), rows_of(TOPICS_CSV)
RUBRICS: list[list[dict[str, Any]]] = [json.loads(row["RUBRICS"]) for row in SEEDS]


def words(text: str) -> list[str]:
    """Return what a reader counts as words: bars of a table are none."""
    return [word for word in text.split() if word.strip("|-:")]


def grade_level(text: str) -> float:
    """Return the Automated Readability Index: characters a word and words a sentence. Source: Smith and Senter 1967, AMRL-TR-66-220."""
    counted, sentences = words(text), max(1, len(re.findall(r"[.!?]+(?=\s|$)", text)))
    return 4.71 * sum(map(len, counted)) / len(counted) + 0.5 * len(counted) / sentences - 21.43


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))]


def most_alike(texts: list[str]) -> float:
    """Return the highest Jaccard similarity of any two, by 3-word shingles; numbers count as equal."""
    shingles = [set(zip(found, found[1:], found[2:], strict=False)) for found in map(shingled_words, texts)]
    return max(len(one & other) / max(1, len(one | other)) for one, other in combinations(shingles, 2))


def opening_shares(texts: list[str], count: int) -> Counter[str]:
    return Counter(" ".join(WORD.findall(text.casefold())[:count]) for text in texts)


# ── seeds: how many, how balanced ────────────────────────────────────────────────────────────────────────────────────


def test_there_are_250_seeds_and_every_one_is_usable() -> None:
    found = read_seeds(SEEDS_CSV)
    assert (len(found.seeds), found.reasons, found.rubrics_deleted) == (250, {}, 0)


def test_subjects_and_kinds_are_spread_evenly_together() -> None:
    assert set(Counter(row["SUBJECT"] for row in SEEDS).values()) == {41, 42}
    assert {row["SUBJECT"] for row in SEEDS} == set(TUTORBENCH_SUBJECTS)
    assert set(Counter(row["MISCONCEPTION_TYPE"] for row in SEEDS).values()) == {31, 32}
    cells = Counter((row["SUBJECT"], row["MISCONCEPTION_TYPE"]) for row in SEEDS)
    assert len(cells) == 6 * 8 and set(cells.values()) == {5, 6}
    assert {row["MISCONCEPTION_TYPE"] for row in SEEDS} == set(TYPES)


@pytest.mark.parametrize("count", [12, 24, 48, 120])
def test_the_first_seeds_are_mixed_too(count: int) -> None:
    """Who uses ten seeds should not get ten on physics: each subject to within one, each kind at least once in 24."""
    first = SEEDS[:count]
    subjects = Counter(row["SUBJECT"] for row in first)
    assert len(subjects) == 6 and max(subjects.values()) - min(subjects.values()) <= 1
    assert count < 24 or len({row["MISCONCEPTION_TYPE"] for row in first}) == 8


def test_ids_are_counted_through() -> None:
    assert [row["ID"] for row in SEEDS] == [f"seed{number:03d}" for number in range(1, 251)]


# ── seeds: lengths, voices, forms ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("column", "fewest", "most"), [("PROMPT", 15, 120), ("UC1_INITIAL_EXPLANATION", 80, 250), ("FOLLOW_UP_PROMPT", 12, 160)]
)
def test_texts_are_neither_too_short_nor_too_long(column: str, fewest: int, most: int) -> None:
    assert [row["ID"] for row in SEEDS if not fewest <= len(words(row[column])) <= most] == []


def test_follow_ups_are_terse_and_rambling() -> None:
    lengths = [float(len(words(row["FOLLOW_UP_PROMPT"]))) for row in SEEDS]
    assert percentile(lengths, 0.1) <= 25 and percentile(lengths, 0.9) >= 100


def test_students_ask_as_real_ones_do() -> None:
    """Among TutorBench's text rows that were at hand, 93 % of follow-ups hold a question mark, and 68 % say confused or not sure."""
    follow_ups = [row["FOLLOW_UP_PROMPT"] for row in SEEDS]
    assert sum("?" in text for text in follow_ups) / len(follow_ups) >= 0.85
    assert sum(UNSURE.search(text) is not None for text in follow_ups) / len(follow_ups) >= 0.4


@pytest.mark.parametrize(("column", "spread"), [("UC1_INITIAL_EXPLANATION", 8), ("FOLLOW_UP_PROMPT", 6)])
def test_readability_differs_as_it_does_among_people(column: str, spread: float) -> None:
    """From the 10th to the 90th percentile of the grade level."""
    levels = [grade_level(row[column]) for row in SEEDS]
    assert percentile(levels, 0.9) - percentile(levels, 0.1) >= spread


def test_explanations_are_not_of_one_house_style() -> None:
    explanations = [row["UC1_INITIAL_EXPLANATION"] for row in SEEDS]
    forms = {"LaTeX": r"\$", "steps": r"(?m)^\s*\d+[.)] ", "table": r"(?m)^\|", "one paragraph": r"\A[^\n]*\Z"}
    shares = {name: sum(bool(re.search(pattern, text)) for text in explanations) / len(explanations) for name, pattern in forms.items()}
    assert all(0.03 <= share <= 0.6 for share in shares.values()), shares


# ── seeds: different from one another ────────────────────────────────────────────────────────────────────────────────


@by_text
def test_no_two_texts_are_alike(column: str) -> None:
    """No question twice with other numbers: 0.2 where 0.7 would be a near-duplicate."""
    assert most_alike([row[column] for row in SEEDS]) < 0.2


@by_text
def test_there_are_no_stock_openings(column: str) -> None:
    texts = [row[column] for row in SEEDS]
    assert opening_shares(texts, 3).most_common(1)[0][1] <= 0.04 * len(texts)
    assert opening_shares(texts, 1).most_common(1)[0][1] <= 0.3 * len(texts)
    stock = r"(?i)^(great|good) question|^sure[,!]|^let'?s (?!see)|^to solve|^i'?m confused|^thank|^wait\b|^hmm"
    assert [text[:40] for text in texts if re.search(stock, text)] == []


# ── rubrics ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_seed_has_5_to_10_criteria_critical_ones_a_ban_and_a_minor_one() -> None:
    for row, rubrics in zip(SEEDS, RUBRICS, strict=True):
        severities = Counter(rubric["attributes"]["severity"] for rubric in rubrics)
        assert 5 <= len(rubrics) <= 10, row["ID"]
        assert severities["critical"] >= 3 and 1 <= severities["critical_negative"] <= 2 and severities["not_critical"] >= 1, row["ID"]
        assert len({rubric["criteria"] for rubric in rubrics}) == len(rubrics), row["ID"]


def test_the_sign_of_a_weight_is_that_of_its_severity_and_a_negative_one_is_a_ban() -> None:
    for rubric in (rubric for rubrics in RUBRICS for rubric in rubrics):
        assert rubric["weight"] == WEIGHT_OF[rubric["attributes"]["severity"]]
        assert rubric["criteria"].startswith("The response must not " if rubric["weight"] < 0 else "The response must "), rubric["criteria"]


def test_attributes_are_the_kits_own_terms() -> None:
    skills, dimensions = set(TutoringSkill.__args__), set(EvalDimension.__args__)  # type: ignore[attr-defined]
    for attributes in (rubric["attributes"] for rubrics in RUBRICS for rubric in rubrics):
        assert attributes["tutoring_skill"] in skills
        assert set(attributes["eval_dimension"].split(", ")) <= dimensions
        assert attributes["explicitness"] in ("explicit", "implicit") and attributes["objectivity"] in ("objective", "subjective")


def test_each_criterion_asks_one_thing() -> None:
    """Of the writer of a scenario that is enforced. No seed says "must state … and …" either, because it is copied as a pattern."""
    every = [rubric["criteria"] for rubrics in RUBRICS for rubric in rubrics]
    assert [text for text in every if is_compound(text)] == []
    assert [text for text in every if re.search(r"^The response must (?:state|say|mention)\b[^,]*\band\b", text)] == []


def test_criteria_are_specific_to_their_seed() -> None:
    """None stands in two seeds."""
    repeated = [text for text, count in Counter(rubric["criteria"] for rubrics in RUBRICS for rubric in rubrics).items() if count > 1]
    assert repeated == []


# ── topics ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_each_of_the_kits_28_subjects_has_40_topics_and_any_other_at_least_3() -> None:
    counts = Counter(row["subject"] for row in TOPICS)
    assert counts.keys() == set(SUBJECTS)
    assert sorted(counts.values())[-28:] == [40] * 28 and min(counts.values()) >= 3


def test_levels_go_from_middle_school_to_graduate() -> None:
    """Where the subject has them: nobody meets quantum mechanics in middle school."""
    levels = Counter((row["subject"], row["level"]) for row in TOPICS)
    assert {level for _, level in levels} == {"middle_school", "high_school", "undergraduate", "graduate"}
    for level, fewest in (("middle_school", 18), ("graduate", 27), ("undergraduate", 28), ("high_school", 28)):
        assert sum((subject, level) in levels for subject in SUBJECTS) >= fewest, level


def test_every_kind_is_carried_by_at_least_12_topics_of_every_subject() -> None:
    """And no topic claims to carry all eight."""
    carried = Counter((row["subject"], kind) for row in TOPICS for kind in row["kinds"].split())
    assert [(subject, kind) for subject in SUBJECTS for kind in TYPES if carried[subject, kind] < 12] == []
    assert max(len(row["kinds"].split()) for row in TOPICS) <= 5


def test_no_topic_stands_in_two_subjects() -> None:
    """Content words compared across subjects."""
    sets = [(row["subject"], set(WORD.findall(row["topic"].casefold())) - SMALL_WORDS) for row in TOPICS]
    pairs = ((one, other) for one, other in combinations(sets, 2) if one[0] != other[0])
    assert max(len(one[1] & other[1]) / len(one[1] | other[1]) for one, other in pairs) < 0.4


def test_topics_are_specific_enough_to_ask_about() -> None:
    """ "price elasticity along a linear demand curve", not "elasticity": a phrase, not a word."""
    assert [row["topic"] for row in TOPICS if len(row["topic"].split()) < 3] == []


def test_no_topic_stands_twice_and_none_is_nearly_another() -> None:
    """Content words compared within a subject, as sets."""
    assert len({row["topic"].casefold() for row in TOPICS}) == len(TOPICS)
    for subject in SUBJECTS:
        sets = [set(WORD.findall(row["topic"].casefold())) - SMALL_WORDS for row in TOPICS if row["subject"] == subject]
        assert max(len(one & other) / len(one | other) for one, other in combinations(sets, 2)) <= 0.6, subject


# ── nobody else's words ──────────────────────────────────────────────────────────────────────────────────────────────


def runs(text: str) -> set[str]:
    """Return all runs of ten words that hold a word of prose for every other one: formulae and numbers are nobody's own."""
    found = WORD.findall(text.casefold())
    every = (found[start : start + RUN_WORDS] for start in range(len(found) - RUN_WORDS + 1))
    return {" ".join(run) for run in every if sum(word.isalpha() and len(word) > 2 for word in run) >= RUN_WORDS // 2}


def test_no_ten_words_in_a_row_stand_in_the_benchmark() -> None:
    path = os.environ.get("BENCHMARK_CSV")
    if not path:
        pytest.skip("BENCHMARK_CSV names no benchmark file to compare the seeds with; it can't be shipped (CC BY-NC)")
    theirs = set().union(*(runs(cell or "") for row in rows_of(PROJECT_ROOT / path) for cell in row.values()))
    assert theirs
    ours = [row[column] for row in SEEDS for column in TEXTS] + [rubric["criteria"] for rubrics in RUBRICS for rubric in rubrics]
    assert sorted(set().union(*map(runs, ours)) & theirs) == []


def test_a_copied_sentence_would_be_found() -> None:
    text = "Friction takes its energy away bit by bit until nothing at all is left of it, and then it stops."
    assert runs(text.upper().replace(",", ";")) == runs(text)
    assert runs("12 + 3 = 15, 4 * 5 = 20, 6 / 2 = 3, 8 - 1 = 7, 9 + 9 = 18 and so on") == set()
