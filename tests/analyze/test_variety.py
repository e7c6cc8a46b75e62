"""Variety is measured on the text itself, before and after filtering, beside a run that only asked for it."""

import pytest

from lib.analyze.variety import Variety, variety, variety_table
from lib.settings import Settings
from tests.build import a_sample, an_evaluation, write_run


def measured(*responses: str, compared: int = 100, **about: str) -> Variety:
    found = variety((a_sample(str(number), response=text, **about) for number, text in enumerate(responses)), compared=compared)
    assert found is not None
    return found


def test_distinct_n_is_distinct_n_grams_by_all_n_grams() -> None:
    """a b a b | a c: 6 words of 3 kinds; pairs ab ba ab ac: 4 of 3 kinds."""
    found = measured("a b a b", "a c")
    assert (found.distinct_1, found.distinct_2) == (3 / 6, 3 / 4)


def test_the_nearest_neighbour_is_by_jaccard_of_the_sets_of_words() -> None:
    """{a b} and {a b c}: 2/3; {x} shares nothing: mean of 2/3, 2/3 and 0."""
    assert measured("a b", "a b c a", "x").nearest_similarity == pytest.approx(4 / 9, abs=1e-6)


def test_one_response_has_no_neighbour() -> None:
    assert measured("a b c").nearest_similarity == 0.0


@pytest.mark.parametrize(
    ("response", "praise", "you", "question", "em_dash"),
    [
        ("Great question! It is three.", 1, 0, 0, 0),
        ("You’ve nearly got it — is it 3?", 0, 1, 1, 1),
        ("Your sign is wrong.\n\nWhat now? ", 0, 1, 1, 0),
        ("It is three. That would be a great result.", 0, 0, 0, 0),
        ("Youth and greatness - both end.", 0, 0, 0, 0),
    ],
)
def test_moves_are_told_by_their_words(response: str, praise: int, you: int, question: int, em_dash: int) -> None:
    found = measured(response)
    assert (found.praise, found.you, found.question, found.em_dash) == (praise, you, question, em_dash)


def test_topics_openings_and_lengths_are_counted() -> None:
    """Lengths in order: 4 5 5 6 6 7 8 9 10 11 words; the 2nd, 5th and 9th of them."""
    found = measured(*(f"{'a b c' if number < 3 else number} is {'so ' * number}" for number in range(10)), topic="Elasticity")
    assert (found.topics, found.most_frequent_topic) == (1, 10)
    assert (found.openings, found.most_frequent_opening) == (8, 0.3)
    assert found.words == (5, 6, 10)


def test_what_depends_on_size_is_measured_on_as_many_as_asked_for() -> None:
    assert measured(*(f"w{number}" for number in range(10)), compared=4).compared == 4


def test_nothing_made_has_no_variety() -> None:
    assert variety([], compared=10) is None


def test_made_and_kept_stand_beside_the_earlier_run(settings: Settings) -> None:
    samples = [a_sample("a", response="Great question! Yes."), a_sample("b", response="Three.")]
    write_run(settings, samples, [an_evaluation(samples[0], failed=["r1"]), an_evaluation(samples[1])])
    rows = {row["measure"]: row for row in variety_table(settings).to_dict("records")}
    assert [rows["opens with praise"][column] for column in ("made", "kept", "an earlier run")] == ["50%", "0%", "78%"]
    assert [rows["samples"][column] for column in ("made", "kept")] == ["2", "1"]


def test_where_nothing_is_kept_that_column_is_empty(settings: Settings) -> None:
    rows = variety_table(write_run(settings, [a_sample()])).to_dict("records")
    assert {row["kept"] for row in rows} == {"–"}
