"""Variety is measured on the text itself, before and after filtering."""

import re

import pytest

from lib.analyze.marks import marks
from lib.analyze.tables import Responses
from lib.analyze.variety import variety_table
from lib.settings import Settings
from tests.build import a_sample, an_evaluation, tables, write_run


def measured(settings: Settings, *responses: str, **about: str) -> dict[str, str]:
    """Return the measures of these responses, all of which are kept."""
    samples = [a_sample(f"s{number}", response=text, **about) for number, text in enumerate(responses)]
    write_run(settings, samples, [an_evaluation(sample) for sample in samples])
    return {re.sub(r" \(of .*\)", "", row["measure"]): row["kept"] for row in variety_table(tables(settings)).to_dict("records")}


def test_distinct_n_is_distinct_n_grams_by_all_n_grams(settings: Settings) -> None:
    """a b a b | a c: 6 words of 3 kinds; pairs ab ba ab ac: 4 of 3 kinds."""
    assert measured(settings, "a b a b", "a c")["distinct-1, distinct-2"] == "0.500, 0.750"


def test_the_nearest_neighbour_is_by_jaccard_of_the_sets_of_words(settings: Settings) -> None:
    """{a b} and {a b c}: 2/3; {x} shares nothing: mean of 2/3, 2/3 and 0, 4/9."""
    assert measured(settings, "a b", "a b c a", "x")["similarity to the nearest neighbour"] == "0.44"


def test_one_response_has_no_neighbour(settings: Settings) -> None:
    assert measured(settings, "a b c")["similarity to the nearest neighbour"] == "0.00"


@pytest.mark.parametrize(
    ("response", "praise", "you", "question", "em_dash"),
    [
        ("Great question! It is three.", True, False, False, False),
        ("You’ve nearly got it — is it 3?", False, True, True, True),
        ("Your sign is wrong.\n\nWhat now? ", False, True, True, False),
        ("It is three. That would be a great result.", False, False, False, False),
        ("Youth and greatness - both end.", False, False, False, False),
    ],
)
def test_moves_are_told_by_their_words(response: str, praise: bool, you: bool, question: bool, em_dash: bool) -> None:
    found = marks(a_sample(response=response))
    assert (found["praise"], found["you"], found["question"], found["em_dash"]) == (praise, you, question, em_dash)


def test_topics_openings_and_lengths_are_counted(settings: Settings) -> None:
    """Lengths in order: 4 5 5 6 6 7 8 9 10 11 words; the 2nd, 5th and 9th of them."""
    responses = (f"{'a b c' if number < 3 else number} is {'so ' * number}" for number in range(10))
    found = measured(settings, *responses, topic="Elasticity")
    assert (found["topics used"], found["most frequent topic"]) == ("1 in 10 samples", "10 times")
    assert (found["different openings (3 words)"], found["most frequent opening"]) == ("8", "30%")
    assert found["words, 10th to 90th percentile"] == "5 to 10, median 6"


def test_of_many_responses_only_some_are_held_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.analyze.tables.MOST_COMPARED", 4)
    held = Responses()
    for number in range(40):
        held.add(number, a_sample(str(number)))
    assert list(held.by_id) == [str(number) for number in range(0, 40, 8)]


def test_nothing_made_has_no_variety(settings: Settings) -> None:
    assert len(variety_table(tables(write_run(settings, [])))) == 0


def test_made_and_kept_stand_side_by_side(settings: Settings) -> None:
    samples = [a_sample("a", response="Great question! Yes."), a_sample("b", response="Three.")]
    write_run(settings, samples, [an_evaluation(samples[0], failed=["r1"]), an_evaluation(samples[1])])
    rows = {row["measure"]: row for row in variety_table(tables(settings)).to_dict("records")}
    assert [rows["opens with praise"][column] for column in ("made", "kept")] == ["50%", "0%"]
    assert [rows["samples"][column] for column in ("made", "kept")] == ["2", "1"]


def test_where_nothing_is_kept_that_column_is_empty(settings: Settings) -> None:
    rows = variety_table(tables(write_run(settings, [a_sample()]))).to_dict("records")
    assert {row["kept"] for row in rows} == {"–"}
