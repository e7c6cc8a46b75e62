"""The plan is balanced jointly in subject and misconception type, on every prefix; topics and styles are dealt, not drawn."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.generate.plan import plan
from lib.generate.students import ASKING, VOICES
from lib.generate.styles import CLOSINGS, OPENINGS, style
from lib.generate.topics import Topic, TopicFileError, Topics, read_topics
from lib.schema import Slot, Student
from lib.settings import PROJECT_ROOT, Settings
from lib.taxonomy import MISCONCEPTION_TYPES, SUBJECTS
from tests.build import STUDENT, a_seed
from tests.build import kit_topics as read_kit_topics

TYPES = [kind.id for kind in MISCONCEPTION_TYPES]
SLUGS = st.from_regex(r"[a-z]{1,4}_[a-z]{1,4}", fullmatch=True)
PLANS = st.builds(
    Settings,
    num_seeds=st.integers(1, 40),
    samples_per_seed=st.integers(1, 9),
    subjects=st.lists(SLUGS, unique=True, min_size=1, max_size=30),
    misconception_types=st.lists(st.sampled_from(TYPES), unique=True, min_size=1),
    random_seed=st.integers(0, 2**40),
)
quickly = settings(deadline=None, max_examples=30)


def slots_of(wanted: Settings, *, seeds: int = 5, topics: Topics | None = None) -> list[Slot]:
    return list(plan(wanted, seeds=[a_seed(row) for row in range(1, seeds + 1)], topics=topics or {}))


@pytest.fixture(scope="module")
def full_plan() -> list[Slot]:
    return slots_of(Settings(num_seeds=250, samples_per_seed=4))


@pytest.fixture(scope="module")
def kit_topics() -> Topics:
    return read_kit_topics()


def spread_on_every_prefix(values: Iterable[Hashable], *, among: int) -> int:
    """Return the largest difference that ever lies between the most and the least frequent of `among` possible values."""
    counts: Counter[Hashable] = Counter()
    of_count = Counter({0: among})  # count -> how many values have it
    largest = 0
    for value in values:
        of_count[counts[value]] -= 1
        counts[value] += 1
        of_count[counts[value]] += 1
        present = [count for count, values_with_it in of_count.items() if values_with_it]
        largest = max(largest, max(present) - min(present))
    return largest


# ── balance ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_full_plan_visits_each_subject_equally_often_to_within_one(full_plan: list[Slot]) -> None:
    """With 28 subjects 1000 = 28·35 + 20, so 20 of them are visited 36 times and 8 of them 35 times."""
    counts, (fewest, more) = Counter(slot.subject for slot in full_plan), divmod(1000, len(SUBJECTS))
    assert set(counts) == set(SUBJECTS)
    assert Counter(counts.values()) == {fewest + 1: more, fewest: len(SUBJECTS) - more}


def test_a_full_plan_visits_each_misconception_type_125_times(full_plan: list[Slot]) -> None:
    """1000 = 8·125."""
    counts = Counter(slot.misconception_type for slot in full_plan)
    assert counts == dict.fromkeys(TYPES, 125)


def test_a_full_plan_visits_each_cell_equally_often_to_within_one(full_plan: list[Slot]) -> None:
    """28·8 = 224 cells, 1000 = 224·4 + 104. An earlier pipeline took one number mod 28 and mod 8 and visited 56 of them."""
    cells = len(SUBJECTS) * len(TYPES)
    counts, (fewest, more) = Counter((slot.subject, slot.misconception_type) for slot in full_plan), divmod(1000, cells)
    assert len(counts) == cells
    assert Counter(counts.values()) == {fewest + 1: more, fewest: cells - more}


@quickly
@given(wanted=PLANS)
def test_subjects_are_balanced_to_within_one_on_every_prefix(wanted: Settings) -> None:
    assert spread_on_every_prefix((slot.subject for slot in slots_of(wanted)), among=len(wanted.subjects)) <= 1


@quickly
@given(wanted=PLANS)
def test_misconception_types_are_balanced_to_within_one_on_every_prefix(wanted: Settings) -> None:
    assert spread_on_every_prefix((slot.misconception_type for slot in slots_of(wanted)), among=len(wanted.misconception_types)) <= 1


@quickly
@given(wanted=PLANS)
def test_cells_are_balanced_to_within_one_on_every_prefix(wanted: Settings) -> None:
    cells = ((slot.subject, slot.misconception_type) for slot in slots_of(wanted))
    assert spread_on_every_prefix(cells, among=len(wanted.subjects) * len(wanted.misconception_types)) <= 1


@quickly
@given(wanted=PLANS)
def test_variations_of_one_seed_differ_in_subject_and_in_type_where_there_are_enough(wanted: Settings) -> None:
    slots, each = slots_of(wanted), wanted.samples_per_seed
    for start in range(0, len(slots), each):
        variations = slots[start : start + each]
        if each <= len(wanted.subjects):
            assert len({slot.subject for slot in variations}) == each
        if each <= len(wanted.misconception_types):
            assert len({slot.misconception_type for slot in variations}) == each


# ── the same plan again ──────────────────────────────────────────────────────────────────────────────────────────────


@quickly
@given(wanted=PLANS)
def test_a_plan_has_a_slot_for_each_variation_of_each_seed(wanted: Settings) -> None:
    slots = slots_of(wanted)
    assert len(slots) == len({slot.id for slot in slots}) == wanted.num_seeds * wanted.samples_per_seed


@quickly
@given(wanted=PLANS, fewer=st.integers(1, 40))
def test_a_plan_with_fewer_seeds_is_a_prefix_of_the_larger(wanted: Settings, fewer: int) -> None:
    smaller = wanted.model_copy(update={"num_seeds": min(fewer, wanted.num_seeds)})
    part = slots_of(smaller)
    assert part == slots_of(wanted)[: len(part)]


@quickly
@given(wanted=PLANS)
def test_the_same_settings_give_the_same_plan(wanted: Settings) -> None:
    assert slots_of(wanted) == slots_of(wanted)


def test_another_random_seed_gives_another_plan() -> None:
    first, second = (slots_of(Settings(num_seeds=20, samples_per_seed=4, random_seed=number)) for number in (0, 1))
    assert [slot.subject for slot in first] != [slot.subject for slot in second]
    assert [slot.style for slot in first] != [slot.style for slot in second]


def test_slots_are_named_for_seed_and_variation_counted_from_one() -> None:
    slots = slots_of(Settings(num_seeds=42, samples_per_seed=2))
    assert [slot.id for slot in slots][:3] == ["seed001_var1", "seed001_var2", "seed002_var1"]
    assert slots[-1].id == "seed042_var2"


# ── seeds, topics, styles ────────────────────────────────────────────────────────────────────────────────────────────


def test_all_variations_of_a_seed_come_from_its_row() -> None:
    slots = list(plan(Settings(num_seeds=2, samples_per_seed=3), seeds=[a_seed(row=4), a_seed(row=9)], topics={}))
    assert [slot.seed_row for slot in slots] == [4, 4, 4, 9, 9, 9]


def test_seeds_are_reused_in_turn_when_there_are_fewer_than_asked_for() -> None:
    slots = list(plan(Settings(num_seeds=5, samples_per_seed=1), seeds=[a_seed(row=4), a_seed(row=9)], topics={}))
    assert [slot.seed_row for slot in slots] == [4, 9, 4, 9, 4]
    assert len({slot.id for slot in slots}) == 5


@quickly
@given(wanted=PLANS, sizes=st.lists(st.integers(1, 12), min_size=30, max_size=30))
def test_no_topic_comes_twice_before_all_of_its_subject_have_come(wanted: Settings, sizes: Sequence[int]) -> None:
    """Where every topic carries every kind: of two that have met a kind equally often, the one that was used less is taken."""
    topics = {
        subject: [Topic(f"{subject} {number}") for number in range(size)] for subject, size in zip(wanted.subjects, sizes, strict=False)
    }
    slots = slots_of(wanted, topics=topics)
    for subject, size in zip(wanted.subjects, sizes, strict=False):
        used = [slot.topic for slot in slots if slot.subject == subject]
        assert len(set(used[:size])) == min(size, len(used))
        assert set(used) <= {topic.name for topic in topics[subject]}


@quickly
@given(wanted=PLANS, carried=st.lists(st.frozensets(st.sampled_from(TYPES), min_size=1), min_size=1, max_size=12))
def test_a_slot_gets_a_topic_that_carries_its_kind_and_no_pair_comes_oftener_than_it_must(
    wanted: Settings, carried: list[frozenset[str]]
) -> None:
    deck = [Topic(f"topic {number}", kinds=kinds) for number, kinds in enumerate(carried)]
    slots, by_name = slots_of(wanted, topics=dict.fromkeys(wanted.subjects, deck)), {topic.name: topic for topic in deck}
    cells, pairs = Counter((slot.subject, slot.misconception_type) for slot in slots), Counter[tuple[str, str, str]]()
    for slot in slots:
        pairs[slot.subject, slot.misconception_type, slot.topic] += 1
        if any(topic.carries(slot.misconception_type) for topic in deck):
            assert by_name[slot.topic].carries(slot.misconception_type)
    for (subject, kind), count in cells.items():
        fit = sum(topic.carries(kind) for topic in deck) or len(deck)
        assert max(times for (one, other, _), times in pairs.items() if (one, other) == (subject, kind)) == -(-count // fit)


def test_at_10000_slots_no_topic_meets_a_kind_more_than_four_times(kit_topics: Topics) -> None:
    """45 slots of a cell, and at least 12 topics that carry its kind."""
    slots = slots_of(Settings(num_seeds=2_500, samples_per_seed=4), topics=kit_topics)
    pairs = Counter((slot.subject, slot.misconception_type, slot.topic) for slot in slots)
    assert max(pairs.values()) <= 4
    combinations = Counter((slot.style.opening, slot.style.words, slot.style.closing) for slot in slots)
    assert max(combinations.values()) < 83  # as with 120 styles, before


def test_in_a_full_plan_no_topic_comes_more_than_twice(kit_topics: Topics) -> None:
    slots = slots_of(Settings(num_seeds=250, samples_per_seed=4), topics=kit_topics)
    counts = Counter((slot.subject, slot.topic) for slot in slots)
    assert max(counts.values()) <= 2 and len(counts) >= 950


def test_a_topic_keeps_its_level() -> None:
    wanted = Settings(num_seeds=4, subjects=("finance",), samples_per_seed=1)
    slots = slots_of(wanted, topics={"finance": (Topic("bonds", "undergraduate"), Topic("budgets", "high_school"))})
    assert {(slot.topic, slot.level) for slot in slots} == {("bonds", "undergraduate"), ("budgets", "high_school")}


def test_a_subject_without_topics_leaves_the_topic_to_the_model() -> None:
    slots = slots_of(Settings(subjects=("knitting", "finance"), num_seeds=4), topics={"finance": (Topic("bonds"),)})
    assert {(slot.subject, slot.topic) for slot in slots} == {("knitting", ""), ("finance", "bonds")}


@quickly
@given(wanted=PLANS)
def test_openings_and_closings_are_balanced_within_each_kind(wanted: Settings) -> None:
    """To within one on every prefix. Some moves suit only some kinds."""
    slots = slots_of(wanted)
    for kind in wanted.misconception_types:
        styles = [slot.style for slot in slots if slot.misconception_type == kind]
        for moves, used in ((OPENINGS, [each.opening for each in styles]), (CLOSINGS, [each.closing for each in styles])):
            fit = [move.text for move in moves if not move.kinds or kind in move.kinds]
            assert set(used) <= set(fit)
            assert spread_on_every_prefix(iter(used), among=len(fit)) <= 1


def test_no_subject_is_tied_to_a_few_styles_or_students(full_plan: list[Slot]) -> None:
    """Dealt in step with the subjects, a subject (every 28th slot) would meet few of them."""
    for subject in SUBJECTS:
        slots = [slot for slot in full_plan if slot.subject == subject]
        assert len({slot.style.opening for slot in slots}) > len(OPENINGS) / 2
        assert len({slot.style.closing for slot in slots}) > len(CLOSINGS) / 2
        assert len({slot.student.voice for slot in slots}) > len(VOICES) / 2
        assert len({slot.student.asks for slot in slots}) > len(ASKING) / 2


def test_no_closing_corrects_a_result_where_only_the_students_own_was_wrong() -> None:
    """The original question's result was right in the explanation already."""
    assert not [move.text for move in CLOSINGS if "corrected" in move.text and "result" in move.text]


def test_the_length_of_a_response_follows_from_level_kind_and_student() -> None:
    talks, is_terse = (
        Student(voice="polite", words=(60, 95), asks="asks", has_question=True),
        STUDENT.model_copy(update={"words": (12, 25)}),
    )

    def words(kind: str, level: str, student: Student = talks) -> tuple[int, int]:
        return style(kind, level, student=student, number=0, random_seed=0).words

    levels = [words("overgeneralization", level) for level in ("middle_school", "high_school", "undergraduate", "graduate")]
    assert levels == sorted(levels) and len(set(levels)) == 4
    assert (
        words("misapplying_formula", "graduate")
        > words("overgeneralization", "graduate")
        > words("overgeneralization", "graduate", is_terse)
    )


# ── students and controls ────────────────────────────────────────────────────────────────────────────────────────────


def test_follow_ups_are_as_long_and_ask_as_often_as_those_of_real_students(full_plan: list[Slot]) -> None:
    """Among TutorBench's text rows 26, 53 and 117 words at the 10th, 50th and 90th percentile, and a question mark in 93 %."""
    middles = sorted(sum(slot.student.words) / 2 for slot in full_plan)
    low, middle, high = (middles[int(share * len(middles))] for share in (0.1, 0.5, 0.9))
    assert 18 <= low <= 32 and 45 <= middle <= 60 and 95 <= high <= 125
    assert sum(slot.student.has_question for slot in full_plan) / len(full_plan) >= 0.85


def test_controls_stand_beyond_the_plan_and_are_balanced_over_the_subjects() -> None:
    wanted = Settings(num_seeds=14, samples_per_seed=4, control_share=1)
    slots = slots_of(wanted)
    planned, controls = slots[:56], slots[56:]
    assert planned == slots_of(wanted.model_copy(update={"control_share": 0.0}))
    assert {slot.origin for slot in controls} == {"control"} and len({slot.id for slot in slots}) == 112
    assert set(Counter(slot.subject for slot in controls).values()) == {2}
    assert Counter(slot.misconception_type for slot in controls) == {"student_is_right": 28, "open_question": 28}
    assert len(set(Counter((slot.subject, slot.misconception_type) for slot in controls).values())) == 1


@pytest.mark.parametrize(("share", "controls"), [(0.07, 7), (0.1, 10), (0.005, 1), (0.29, 29), (1.0, 100)])
def test_the_number_of_controls_is_exact(share: float, controls: int) -> None:
    """0.07 · 100 is a little more than 7 in floats."""
    assert Settings(num_seeds=25, samples_per_seed=4, control_share=share).planned_controls == controls


def test_a_plan_has_no_controls_unless_they_are_asked_for(full_plan: list[Slot]) -> None:
    assert not any(slot.is_control for slot in full_plan)


# ── topics.csv ───────────────────────────────────────────────────────────────────────────────────────────────────────


def topic_file(folder: Path, text: str | bytes) -> Path:
    path = folder / "my topics.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(TopicFileError) as caught:
        read_topics(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_topics_are_read_by_subject_with_their_levels(tmp_path: Path) -> None:
    path = topic_file(
        tmp_path, '\ufeffsubject,topic,level\r\nfinance, bonds ,undergraduate\r\nknitting,"purl, knit",\r\nfinance,stocks,\r\n'
    )
    assert read_topics(path) == {"finance": (Topic("bonds", "undergraduate"), Topic("stocks")), "knitting": (Topic("purl, knit"),)}


def test_a_topic_says_which_kinds_it_carries_and_without_a_word_all(tmp_path: Path) -> None:
    path = topic_file(tmp_path, "subject,topic,level,kinds\nfinance,bonds,,overgeneralization misapplying_formula\nfinance,stocks,,\n")
    bonds, stocks = read_topics(path)["finance"]
    assert bonds.kinds == {"overgeneralization", "misapplying_formula"} and not bonds.carries("incorrect_assumption")
    assert all(stocks.carries(kind) for kind in TYPES)


def test_a_misspelt_kind_is_refused_with_those_there_are(tmp_path: Path) -> None:
    message = refusal(topic_file(tmp_path, "subject,topic,level,kinds\nfinance,bonds,,overgeneralisation\n"))
    assert "row 1" in message and "overgeneralisation" in message and "misapplying_formula" in message


def test_topics_may_come_without_levels(tmp_path: Path) -> None:
    assert read_topics(topic_file(tmp_path, "subject,topic\nfinance,bonds\n")) == {"finance": (Topic("bonds"),)}


def test_a_missing_topic_file_is_named_with_the_setting_to_change(tmp_path: Path) -> None:
    assert "topics_csv" in refusal(tmp_path / "nowhere.csv")


def test_a_topic_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    refusal(topic_file(tmp_path, b"subject,topic\nfinance,caf\xe9 economics\n"))


@pytest.mark.parametrize("line", ["finance,,", ",bonds,", "finance"])
def test_a_topic_row_with_an_empty_cell_is_named(tmp_path: Path, line: str) -> None:
    assert "row 2" in refusal(topic_file(tmp_path, f"subject,topic,level\nfinance,bonds,\n{line}\n"))


def test_a_topic_file_without_its_columns_is_refused(tmp_path: Path) -> None:
    message = refusal(topic_file(tmp_path, "field,title\nfinance,bonds\n"))
    assert "subject" in message
    assert "topic" in message


def test_a_quote_that_is_never_closed_does_not_swallow_the_topics_after_it(tmp_path: Path) -> None:
    refusal(topic_file(tmp_path, 'subject,topic,level\nfinance,"bonds,\nfinance,stocks,\n'))


def test_the_shipped_topics_cover_every_subject_with_at_least_3_each_and_none_twice() -> None:
    topics = read_topics(PROJECT_ROOT / "data" / "topics.csv")
    assert set(topics) == set(SUBJECTS)
    for entries in topics.values():
        names = [" ".join(topic.casefold().split()) for topic, *_ in entries]
        assert len(set(names)) == len(names) >= 3


def test_an_unquoted_comma_in_a_topic_is_an_error_and_not_a_level(tmp_path: Path) -> None:
    path = topic_file(tmp_path, "subject,topic,level\nfinance,bonds, stocks,undergraduate\n")
    assert "row 1" in refusal(path) and "into quotes" in refusal(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("subject,topic,topic\nfinance,bonds,stocks\n", "the column topic stands twice"),
        ("subject,topic\nfinance,nan\n", "row 1 (line 2): columns subject and topic must not be empty"),
        ("subject,topic\nfinance,bonds\nfinance,sto\x07cks\n", "row 2 (line 3): topic: holds the control character U+0007"),
        ("", "the file is empty"),
    ],
)
def test_a_topic_file_that_would_be_read_wrongly_is_an_error_that_names_the_place(tmp_path: Path, text: str, says: str) -> None:
    assert says in refusal(topic_file(tmp_path, text))


def test_topics_may_be_separated_as_a_spreadsheet_does_it(tmp_path: Path) -> None:
    path = topic_file(tmp_path, "sep=;\r\nSubject; Topic;Level\r\nfinance;bonds, stocks;#N/A\r\n")
    assert read_topics(path) == {"finance": (Topic("bonds, stocks"),)}
