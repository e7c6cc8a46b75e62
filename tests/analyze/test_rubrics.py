"""Criteria that can't tell a good reply from a bad one are counted, each measure with examples."""

from lib.analyze.rates import Share
from lib.analyze.rubrics import Rubrics, rubrics
from lib.schema import Evaluation, Sample, Verdict
from lib.settings import Settings
from tests.build import a_planted, a_rubric, a_sample, an_evaluation, tables, write_run

CONTENT = a_rubric("r1", criteria="The response must make clear that the money is spent.")
TONE = a_rubric("r2", criteria="The response must be kind.", dimension="emotional_component")
COMPOUND = a_rubric("r3", criteria="The response must name the bridge and explain the loss.")
GENERAL = a_rubric("r4", criteria="The response must identify the misconception.")


def found(settings: Settings, sample: Sample, evaluation: Evaluation, **about: object) -> Rubrics:
    return rubrics(tables(write_run(settings, [sample], [evaluation], **about)))  # type: ignore[arg-type]


def test_criteria_that_join_two_demands_or_name_nothing_are_counted_with_examples(settings: Settings) -> None:
    sample = a_sample(rubrics=[CONTENT, COMPOUND, GENERAL])
    measured = found(settings, sample, an_evaluation(sample))
    assert measured.shares["compound"] == measured.shares["general"] == Share(1, 3)
    assert measured.examples["compound"] == [("seed001_var1", "r3", COMPOUND.criteria)]
    assert measured.examples["general"] == [("seed001_var1", "r4", GENERAL.criteria)]


def test_a_demand_that_praise_alone_meets_can_tell_nothing_and_one_of_tone_may_be_met_by_it(settings: Settings) -> None:
    sample = a_sample(rubrics=[CONTENT, TONE, GENERAL])
    measured = found(settings, sample, an_evaluation(sample), planted=[a_planted(sample, "praise_only", failed=["r1"])])
    assert measured.shares["met_by_nothing"] == Share(1, 2)
    assert measured.examples["met_by_nothing"] == [("seed001_var1+praise_only", "r4", GENERAL.criteria)]


def test_a_criterion_that_a_fault_is_about_and_that_its_copy_meets_never_fails(settings: Settings) -> None:
    """Half of the compound one is left out. The judge finds it met, and the others are none of this fault's."""
    sample = a_sample(rubrics=[CONTENT, TONE, COMPOUND])
    measured = found(settings, sample, an_evaluation(sample), planted=[a_planted(sample, "half_met")])
    assert measured.shares["never_fails"] == Share(1, 1)
    assert measured.examples["never_fails"] == [("seed001_var1+half_met", "r3", COMPOUND.criteria)]


def test_what_the_original_fails_too_says_nothing_of_the_criterion(settings: Settings) -> None:
    sample = a_sample(rubrics=[CONTENT, TONE, COMPOUND])
    measured = found(settings, sample, an_evaluation(sample, failed=["r3"]), planted=[a_planted(sample, "half_met")])
    assert measured.shares["never_fails"] == Share(0, 0)


def test_criteria_whose_votes_differ_are_counted_among_those_that_were_voted_on(settings: Settings) -> None:
    sample = a_sample(rubrics=[CONTENT, TONE])
    votes = {"r1": (True, False, True), "r2": (True, True, True)}
    measured = found(settings, sample, voted(sample, votes))
    assert measured.shares["votes_differ"] == Share(1, 2)
    assert measured.shares["judges_differ"] == Share(0, 0)


def test_where_a_panel_judges_its_judges_differ_and_their_single_votes_can_not(settings: Settings) -> None:
    sample = a_sample(rubrics=[CONTENT, TONE])
    votes = {"r1": (True, False, True), "r2": (True, True, True)}
    measured = found(settings, sample, voted(sample, votes, panel=("a", "b", "c")))
    assert measured.shares["votes_differ"] == Share(0, 0)
    assert measured.shares["judges_differ"] == Share(1, 2)
    assert measured.examples["judges_differ"] == [("seed001_var1", "r1", CONTENT.criteria)]


def voted(sample: Sample, votes: dict[str, tuple[bool, ...]], panel: tuple[str, ...] = ()) -> Evaluation:
    verdicts = tuple(
        Verdict(rubric_id=name, met=sum(given) > 1, reasoning="So.", evidence="", evidence_found=None, votes=given)
        for name, given in votes.items()
    )
    return an_evaluation(sample, verdicts=verdicts, panel=panel)


def test_a_skill_of_which_nothing_failed_is_named_when_there_are_enough_of_its_criteria(settings: Settings) -> None:
    samples = [a_sample(f"s{number:02}", rubrics=[CONTENT, a_rubric("r2", skill="asks_guiding_question")]) for number in range(20)]
    evaluations = [an_evaluation(sample) for sample in samples]
    planted = [a_planted(samples[0], "near_topic", failed=["r1"])]
    assert rubrics(tables(write_run(settings, samples, evaluations, planted=planted))).skills == ("asks_guiding_question",)
    assert rubrics(tables(write_run(settings, samples[:19], evaluations[:19], planted=planted))).skills == ()
