"""Two runs of one plan are compared sample by sample: what a change did, and whether it may be chance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.analyze.compare import CompareError, Comparison, compare_runs
from lib.analyze.rates import Pairs
from lib.run.files import RunError, write_jsonl
from lib.run.manifest import update_manifest
from lib.run.records import made_samples
from lib.run.run import Run
from lib.settings import Settings
from tests.build import a_sample, an_evaluation, count, keep, tables, write_run

unhurried = hypothesis_settings(deadline=None)  # the machine may be busy
COUNT = st.integers(0, 200)
PLANNED = {"inputs_sha256": {"seeds": "5" * 64, "topics": "6" * 64}, "prompt_sha256": {"scenario": "1" * 64, "gold": "2" * 64}}


def filtered(settings: Settings, run: str, failed: set[int], *, made: range = range(10), own: str = "", **changes: object) -> Settings:
    """Write a judged and filtered run in which these samples are dropped. `own` is what makes its questions its own."""
    settings = settings.model_copy(update={"run": run, **changes})
    samples = {
        number: a_sample(f"seed{number:03d}_var1", question=f"Question {number}{own}?", response=f"Reply {number} of {run}.")
        for number in made
    }
    evaluations = [an_evaluation(sample, failed=["r1"] if number in failed else []) for number, sample in samples.items()]
    write_run(settings, list(samples.values()), evaluations)
    update_manifest(Run(settings), "generation", values=PLANNED | {"settings": settings.model_dump(mode="json")})
    update_manifest(Run(settings), "judging", values={"settings": settings.model_dump(mode="json"), "prompt_sha256": {"judge": "3" * 64}})
    count(settings)
    return settings


# ── statistics ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("one", "other", "p"), [(1, 7, 0.0703125), (0, 5, 0.0625), (3, 3, 1.0), (0, 0, 1.0), (10, 1, 24 / 2048)], ids=lambda value: str(value)
)
def test_mcnemars_exact_p_is_that_of_the_binomial_worked_by_hand(one: int, other: int, p: float) -> None:
    """1 and 7: 2·(C(8,0) + C(8,1))/2^8 = 18/256. 10 and 1: 2·(1 + 11)/2^11."""
    assert Pairs(0, one, other, 0).mcnemar_p == pytest.approx(p)


@pytest.mark.parametrize("rates", [(0.6, 0.2, 0.1, 0.1), (0.75, 0.1, 0.1, 0.05), (0.3, 0.05, 0.25, 0.4)])
@pytest.mark.parametrize("pairs", [40, 200])
def test_the_paired_interval_holds_the_truth_in_about_95_of_100_simulated_comparisons(rates: tuple[float, ...], pairs: int) -> None:
    truth = rates[1] - rates[2]
    runs = np.random.default_rng(11).multinomial(pairs, rates, 3000).tolist()
    held = sum(low <= truth <= high for _, low, high in (Pairs(*counts).difference for counts in runs))
    assert 0.935 <= held / 3000 <= 0.985


@unhurried
@given(both=COUNT, first=COUNT, second=COUNT, neither=COUNT)
def test_exchanging_the_runs_mirrors_the_interval(both: int, first: int, second: int, neither: int) -> None:
    if not both + first + second + neither:
        return
    difference, low, high = Pairs(both, first, second, neither).difference
    assert -1 <= low <= difference + 1e-12 and difference - 1e-12 <= high <= 1
    assert Pairs(both, second, first, neither).difference == pytest.approx((-difference, -high, -low))


def test_nothing_to_compare_has_no_difference() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        _ = Pairs(0, 0, 0, 0).difference


# ── runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_samples_are_paired_by_their_slot(settings: Settings) -> None:
    """Dropped in a: 0 1 2; in b: 2 3. Both keep 6; only a keeps 3; only b keeps 0 1; neither keeps 2."""
    filtered(settings, "a", {0, 1, 2})
    found = compare_runs(tables(filtered(settings, "b", {2, 3}, compare_with="a")))
    assert isinstance(found, Comparison)
    assert (found.pairs, found.unpaired) == (Pairs(both=6, only_first=2, only_second=1, neither=1), 0)
    assert "keep rate of b beside a: +10.0%" in str(found)
    assert "McNemar's exact p = 1" in str(found)


def paired_by(settings: Settings, **changes: str) -> str:
    """Return the line on what the pairs of two runs share."""
    filtered(settings, "a", set())
    found = compare_runs(tables(filtered(settings, "b", {1}, compare_with="a", **changes)))
    assert isinstance(found, Comparison)
    return found.paired_by


def test_the_comparison_says_whether_pairs_answer_the_same_question(settings: Settings) -> None:
    assert paired_by(settings) == "all 10 pairs answer the same question"
    said = paired_by(settings, own=", differently")
    assert said.startswith("each pair shares its slot only") and "SCENARIOS_FROM=a" in said


def test_the_first_line_says_whether_there_is_a_difference(settings: Settings) -> None:
    filtered(settings, "a", set(range(12)), made=range(20))
    better = compare_runs(tables(filtered(settings, "b", set(), made=range(20), compare_with="a")))
    assert str(better).startswith("b keeps more than a, by more than chance\n")
    filtered(settings, "c", {1, 2}, made=range(20))
    same = compare_runs(tables(filtered(settings, "d", {2, 3}, made=range(20), compare_with="c")))
    assert str(same).startswith(
        "no difference is shown, because the runs differ on 2 pairs only, and with fewer than 6 such pairs none could be\n"
    )


def test_where_the_responses_are_the_same_only_the_judging_can_differ(settings: Settings) -> None:
    a = filtered(settings, "a", set())
    filtered(settings, "b", {1}, compare_with="a")
    b = settings.model_copy(update={"run": "b", "compare_with": "a"})
    write_jsonl(Run(b).generated, made_samples(Run(a)))
    keep(b)
    found = compare_runs(tables(b))
    assert isinstance(found, Comparison) and found.same_response == 10
    assert (
        found.paired_by == "all 10 pairs answer the same question, 10 of them with the same response, so that only the judging can differ"
    )


def test_a_plan_with_fewer_seeds_is_the_beginning_of_one_with_more(settings: Settings) -> None:
    filtered(settings, "a", set(), num_seeds=10)
    found = compare_runs(tables(filtered(settings, "b", set(), made=range(4), num_seeds=2, compare_with="a")))
    assert isinstance(found, Comparison) and (found.pairs.total, found.unpaired) == (4, 6)


def test_samples_that_one_run_lacks_are_counted_and_left_out(settings: Settings) -> None:
    filtered(settings, "a", set(), made=range(8))
    found = compare_runs(tables(filtered(settings, "b", {9}, made=range(2, 10), compare_with="a")))
    assert isinstance(found, Comparison)
    assert (found.pairs.total, found.unpaired) == (6, 4)


def test_what_was_changed_stands_beside_what_came_of_it(settings: Settings) -> None:
    filtered(settings, "a", {1})
    found = compare_runs(
        tables(filtered(settings, "b", set(), compare_with="a", judge_model="claude-haiku-5-5", critical_pass_threshold=0.5))
    )
    assert isinstance(found, Comparison)
    assert found.changed == {"judge_model": ("claude-sonnet-5-5", "claude-haiku-5-5"), "critical_pass_threshold": ("0.8", "0.5")}
    rows = {row["measure"]: (row["a"], row["b"]) for row in found.rows()}
    assert rows["kept"][0].startswith("9 of 10") and rows["kept"][1].startswith("10 of 10")
    assert rows["US dollars a kept sample"] == ("0.0000", "0.0000")
    assert "kept: opens with praise" in rows


def test_a_prompt_that_was_edited_is_among_the_changes(settings: Settings) -> None:
    filtered(settings, "a", set())
    b = filtered(settings, "b", set(), compare_with="a")
    update_manifest(Run(b), "judging", values={"settings": b.model_dump(mode="json"), "prompt_sha256": {"judge": "4" * 64}})
    found = compare_runs(tables(b))
    assert isinstance(found, Comparison) and found.changed == {"prompt of judge": ("33333333", "44444444")}


def test_runs_of_different_plans_are_not_compared(settings: Settings) -> None:
    filtered(settings, "a", set(), random_seed=4)
    with pytest.raises(CompareError, match=r"a and b have different plans \(random_seed differ\)"):
        compare_runs(tables(filtered(settings, "b", set(), compare_with="a")))


def test_a_run_that_is_not_there_is_one_clear_sentence(settings: Settings) -> None:
    with pytest.raises(CompareError, match="nowhere has not been made and filtered yet: run 01_generate and 02_filter with RUN=nowhere"):
        compare_runs(tables(filtered(settings, "b", set(), compare_with="nowhere")))


def test_without_another_run_nothing_is_compared(settings: Settings) -> None:
    assert str(compare_runs(tables(filtered(settings, "b", set())))).endswith("name that one in compare_with.")


def test_a_run_is_not_compared_with_itself(settings: Settings) -> None:
    with pytest.raises(CompareError, match="can't be compared with itself"):
        compare_runs(tables(filtered(settings, "b", set(), compare_with="outputs/b")))


def test_what_the_writer_was_is_told_by_the_making_not_by_the_judging(settings: Settings) -> None:
    """Notebook 2 was run with its defaults, whatever notebook 1 was given."""
    a, b = (
        filtered(settings, "a", set(), model="claude-haiku-5-5"),
        filtered(settings, "b", set(), compare_with="a", model="claude-haiku-5-5"),
    )
    plain = {"settings": settings.model_dump(mode="json"), "prompt_sha256": {"judge": "3" * 64}}
    for run in (a, b):
        update_manifest(Run(run), "judging", values=plain)
    found = compare_runs(tables(b))
    assert isinstance(found, Comparison) and found.changed == {}


def test_a_run_that_has_changed_since_it_was_filtered_is_not_compared(settings: Settings) -> None:
    a = filtered(settings, "a", set())
    write_jsonl(Run(a).evaluations, [an_evaluation(a_sample(f"seed{number:03d}_var1"), failed=["r1"]) for number in range(10)])
    with pytest.raises(RunError, match="a has changed since it was filtered"):
        compare_runs(tables(filtered(settings, "b", set(), compare_with="a")))
