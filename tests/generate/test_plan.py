"""The plan is balanced jointly in subject and misconception type, on every prefix; topics and styles are dealt, not drawn."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.generate.plan import CLOSINGS, OPENINGS, WORDS, TopicFileError, Topics, plan, read_topics
from lib.schema import Slot
from lib.settings import PROJECT_ROOT, Settings
from lib.taxonomy import MISCONCEPTION_TYPES, SUBJECTS
from tests.build import a_seed

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
    topics = {
        subject: tuple((f"{subject} {number}", "") for number in range(size)) for subject, size in zip(wanted.subjects, sizes, strict=False)
    }
    slots = slots_of(wanted, topics=topics)
    for subject, size in zip(wanted.subjects, sizes, strict=False):
        used = [slot.topic for slot in slots if slot.subject == subject]
        for start in range(0, len(used), size):
            round_of_all = used[start : start + size]
            assert len(set(round_of_all)) == len(round_of_all)
            assert set(round_of_all) <= {topic for topic, _ in topics[subject]}


def test_a_topic_keeps_its_level() -> None:
    wanted = Settings(num_seeds=4, subjects=("finance",), samples_per_seed=1)
    slots = slots_of(wanted, topics={"finance": (("bonds", "undergraduate"), ("budgets", "high_school"))})
    assert {(slot.topic, slot.level) for slot in slots} == {("bonds", "undergraduate"), ("budgets", "high_school")}


def test_a_subject_without_topics_leaves_the_topic_to_the_model() -> None:
    slots = slots_of(Settings(subjects=("knitting", "finance"), num_seeds=4), topics={"finance": (("bonds", ""),)})
    assert {(slot.subject, slot.topic) for slot in slots} == {("knitting", ""), ("finance", "bonds")}


@quickly
@given(wanted=PLANS)
def test_openings_lengths_and_closings_are_balanced_to_within_one_on_every_prefix(wanted: Settings) -> None:
    styles = [slot.style for slot in slots_of(wanted)]
    assert spread_on_every_prefix((style.opening for style in styles), among=len(OPENINGS)) <= 1
    assert spread_on_every_prefix((style.words for style in styles), among=len(WORDS)) <= 1
    assert spread_on_every_prefix((style.closing for style in styles), among=len(CLOSINGS)) <= 1


def test_no_subject_is_tied_to_a_few_styles(full_plan: list[Slot]) -> None:
    """Dealt in step with the subjects, 8 openings would meet a subject (every 28th slot) only twice."""
    for subject in SUBJECTS:
        styles = [slot.style for slot in full_plan if slot.subject == subject]
        assert len({style.opening for style in styles}) > len(OPENINGS) / 2
        assert len({style.words for style in styles}) > len(WORDS) / 2
        assert len({style.closing for style in styles}) > len(CLOSINGS) / 2


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
    assert read_topics(path) == {"finance": (("bonds", "undergraduate"), ("stocks", "")), "knitting": (("purl, knit", ""),)}


def test_topics_may_come_without_levels(tmp_path: Path) -> None:
    assert read_topics(topic_file(tmp_path, "subject,topic\nfinance,bonds\n")) == {"finance": (("bonds", ""),)}


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
        names = [" ".join(topic.casefold().split()) for topic, _ in entries]
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
    assert read_topics(path) == {"finance": (("bonds, stocks", ""),)}
