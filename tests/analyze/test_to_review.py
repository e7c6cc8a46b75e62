"""People are asked most where the judge may be wrong, and how likely each sample was to be drawn is known."""

from collections import Counter

import pytest

from lib.analyze.to_review import Draw, drawn, shares_of
from lib.filter.keep import Judged
from lib.filter.votes import is_divided
from lib.schema import Decision
from tests.build import a_sample, an_evaluation, rubrics_of

TYPES = ("overgeneralization", "how_concepts_relate")
RUBRICS = rubrics_of(5, 5, 5, 5, -5)


def judged(name: str, *, failed: tuple[str, ...] = (), kind: str = TYPES[0]) -> Judged:
    sample = a_sample(name, rubrics=RUBRICS, misconception_type=kind)
    return Judged(sample, an_evaluation(sample, failed=failed), Decision(id=name, status="dropped" if failed else "kept"))


def a_run(clear: int = 80, divided: int = 20) -> list[Judged]:
    """Return samples that pass clearly, and samples that one criterion drops."""
    passing = [judged(f"p{number:03}", kind=TYPES[number % 2]) for number in range(clear)]
    return passing + [judged(f"d{number:03}", failed=("r1",)) for number in range(divided)]


def counts(draw: Draw) -> Counter[str]:
    return Counter(sample.id[0] for sample in draw.samples)


def test_half_of_the_labels_are_spread_evenly_and_the_others_fall_more_often_where_the_judge_is_divided() -> None:
    """Of 40, the 20 divided ones of 100 get 20 × 0.2, and of the others 20 × 20 × 4 ÷ (80 + 80)."""
    assert shares_of({(True, False): 80, (False, True): 20}) == pytest.approx({(True, False): 0.65, (False, True): 0.35})
    assert counts(drawn(a_run(), 40, random_seed=1)) == {"p": 26, "d": 14}


def test_the_strata_say_how_many_there_are_and_how_many_were_drawn() -> None:
    assert [(one.passes, one.is_divided, one.size, one.labelled) for one in drawn(a_run(), 40, random_seed=1).strata] == [
        (False, True, 20, 14),
        (True, False, 80, 26),
    ]


def test_a_larger_draw_holds_the_smaller_one() -> None:
    smaller, larger = ({sample.id for sample in drawn(a_run(), count, random_seed=3).samples} for count in (20, 45))
    assert smaller < larger


def test_within_a_stratum_each_sample_is_as_likely_as_any_other() -> None:
    """Over 400 seeds each of 20 samples of a stratum is drawn 400 × 7 ÷ 20 = 140 times, give or take 4.5 standard deviations."""
    times = Counter(sample.id for seed in range(400) for sample in drawn(a_run(), 20, random_seed=seed).samples)
    divided = [times[f"d{number:03}"] for number in range(20)]
    assert sum(divided) == pytest.approx(400 * 7, rel=0.05)
    assert all(abs(count - 140) < 4.5 * 9.6 for count in divided)


@pytest.mark.parametrize("count", [8, 20, 50])
def test_each_kind_of_misconception_is_there_in_its_proportion(count: int) -> None:
    drawn_kinds = Counter(sample.metadata.misconception_type for sample in drawn(a_run(divided=0), count, random_seed=2).samples)
    assert drawn_kinds == {TYPES[0]: count // 2, TYPES[1]: count // 2}


def test_a_sample_of_a_rare_kind_is_as_likely_as_one_of_a_usual_kind() -> None:
    """Of 16 passing samples one is of a rare kind. Of 8 labels over 400 seeds each gets 200, give or take 4.5 standard deviations."""
    run = [judged(f"p{number:03}", kind=TYPES[number == 0]) for number in range(16)]
    times = Counter(sample.id for seed in range(400) for sample in drawn(run, 8, random_seed=seed).samples)
    assert all(abs(times[f"p{number:03}"] - 200) < 4.5 * 10 for number in range(16))


def test_the_order_shows_nothing_of_the_stratum() -> None:
    """A clear sample stands before a divided one as often as after it. Over 40 seeds of 26 × 14 pairs, a half to within 4 points."""
    before = pairs = 0
    for seed in range(40):
        shown = [sample.id[0] for sample in drawn(a_run(), 40, random_seed=seed).samples]
        clear, divided = ([place for place, name in enumerate(shown) if name == kind] for kind in "pd")
        before, pairs = before + sum(one < other for one in clear for other in divided), pairs + len(clear) * len(divided)
    assert before / pairs == pytest.approx(0.5, abs=0.04)


def test_all_samples_are_drawn_when_there_are_fewer_than_wanted() -> None:
    assert len(drawn(a_run(3, 2), 30, random_seed=1).samples) == 5


def test_more_labels_are_expected_to_tell_more() -> None:
    few, many = (drawn(a_run(800, 200), count, random_seed=1).expected for count in (30, 200))
    assert few and many and many < few / 1.8
    assert drawn(a_run(), 2, random_seed=1).expected is None


@pytest.mark.parametrize(
    ("changes", "divided"),
    [
        ({}, False),
        ({"failed": ("r1",)}, True),  # one criterion decides
        ({"failed": ("r1", "r2")}, True),  # the criteria drop it, the score of 4 does not
        ({"failed": ("r1", "r2"), "quality_score": 2}, False),
        ({"quality_score": 2}, True),
        ({"weaknesses": ("factual_error",)}, True),
    ],
)
def test_the_judge_is_divided_where_a_single_answer_would_be_close(changes: dict[str, object], divided: bool) -> None:
    sample = a_sample(rubrics=RUBRICS)
    assert is_divided(sample, an_evaluation(sample, **changes)) is divided  # type: ignore[arg-type]


def test_it_is_divided_where_votes_differ_on_a_critical_criterion() -> None:
    sample = a_sample(rubrics=rubrics_of(5, 5, 1))
    for place, divided in ((0, True), (2, False)):
        verdicts = list(an_evaluation(sample).verdicts)
        verdicts[place] = verdicts[place].model_copy(update={"votes": (True, False, True)})
        assert is_divided(sample, an_evaluation(sample, verdicts=tuple(verdicts))) is divided
