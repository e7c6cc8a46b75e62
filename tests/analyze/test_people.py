"""People judge the same criteria blind; their labels tell how often the judge recognises a good response."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lib.analyze import people
from lib.analyze.catches import Catches
from lib.analyze.corrected import ASSUMED, DISAGREE, GoodRate
from lib.analyze.people import Agreement
from lib.analyze.rates import Pairs, Share
from lib.analyze.sheet import ReviewError, read_sheet, safe_cell, write_sheet
from lib.analyze.strata import Stratum
from lib.analyze.trust import trust
from lib.analyze.warnings import about_catches, about_labels
from lib.commands.__main__ import main
from lib.run.records import made_samples
from lib.run.run import Run
from lib.schema import Sample
from lib.settings import Settings
from tests.build import a_planted, a_sample, an_evaluation, keep, rubrics_of, tables, write_run

TYPES = ("overgeneralization", "how_concepts_relate")
unhurried = hypothesis_settings(deadline=None)  # the machine may be busy


@pytest.fixture
def judged(settings: Settings) -> Settings:
    """Twenty judged samples of two kinds: every fourth fails, by its ban; all have two critical criteria and a minor one."""
    samples = [
        a_sample(f"seed0{number}_var1", rubrics=rubrics_of(5, -5, 1), misconception_type=TYPES[number % 2], response=f"Reply {number}.")
        for number in range(10, 30)
    ]
    evaluations = [an_evaluation(sample, failed=["r2"] if number % 4 == 0 else []) for number, sample in enumerate(samples)]
    planted = [a_planted(sample, failed=["r1"]) for sample in samples[:16]]
    write_run(settings, samples, evaluations, planted=planted)
    keep(settings)
    return settings.model_copy(update={"review_samples": 8})


def agreement(settings: Settings) -> Agreement | None:
    read = tables(settings)
    return people.agreement(read.run, samples=read.samples, verdicts=read.verdicts)


def sheet_rows(settings: Settings) -> list[dict[str, str]]:
    with Run(settings).review.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def filled_in(settings: Settings, answers: dict[tuple[str, str], str], *, delimiter: str = ",", encoding: str = "utf-8-sig") -> Settings:
    """Fill the sheet in as a spreadsheet would save it, "yes" where `answers` says nothing, and name it."""
    rows, path = sheet_rows(settings), Run(settings).dir / "filled in.csv"
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        for row in rows:
            writer.writerow(row | {"met": answers.get((row["sample"], row["rubric"]), "yes")})
    return settings.model_copy(update={"review_csv": str(path)})


# ── the sheet ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_sheet_has_a_row_for_each_critical_criterion_and_the_texts_once(judged: Settings) -> None:
    write_sheet(Run(judged))
    rows = sheet_rows(judged)
    assert len(rows) == 8 * 2
    assert {row["rubric"] for row in rows} == {"r1", "r2"}
    assert [bool(row["response"]) for row in rows] == [True, False] * 8
    assert {row["met"] for row in rows} == {""}


def test_the_sheet_is_blind(judged: Settings) -> None:
    """Neither verdicts, severities, weights nor reasons; the order of samples tells nothing either."""
    write_sheet(Run(judged))
    text = Run(judged).review.read_text("utf-8").casefold()
    assert not any(word in text for word in ("critical", "weight", "kept", "dropped", "it says so", "-5"))
    statuses = [int(row["sample"][5:7]) % 4 == 2 for row in sheet_rows(judged)[::2]]
    assert statuses != sorted(statuses) and statuses != sorted(statuses, reverse=True)


@unhurried
@given(st.text())
def test_no_cell_can_act_as_a_formula_and_no_text_is_lost(text: str) -> None:
    cell = safe_cell(text)
    assert cell.endswith(text)
    assert cell.lstrip(" \u00a0\u200b\u200c\u200d\u2060\ufeff")[:1] not in set("=+-@\t\r\n＝＋－＠")


def test_an_attack_in_a_response_is_defused_in_the_file(settings: Settings) -> None:
    samples = [a_sample("s1", response='=HYPERLINK("http://x","y")', question="\u200b@SUM(1)", follow_up="-1 is less, no?")]
    write_run(settings, samples, [an_evaluation(samples[0])])
    keep(settings)
    write_sheet(Run(settings))
    row = sheet_rows(settings)[0]
    assert [row[name][0] for name in ("response", "question", "follow_up")] == ["'", "'", "'"]


def test_what_people_have_filled_in_is_never_overwritten(judged: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    write_sheet(Run(judged))
    write_sheet(Run(judged))  # an empty one may be
    path = Run(judged).review
    path.write_text(path.read_text("utf-8").replace('"",""\n', '"yes",""\n', 1), "utf-8")
    before = path.read_bytes()
    with pytest.raises(ReviewError, match="has been filled in"):
        write_sheet(Run(judged))
    assert path.read_bytes() == before


def test_a_smaller_sheet_does_not_replace_answers_that_it_would_not_hold_and_notes_stay(judged: Settings) -> None:
    write_sheet(Run(judged))
    path = Run(judged).review
    path.write_text(path.read_text("utf-8").replace('"",""\n', '"yes","read twice"\n'), "utf-8")
    own = judged.model_copy(update={"review_csv": str(path)})
    with pytest.raises(ReviewError, match="not all of it would stand in the new sheet"):
        write_sheet(Run(own.model_copy(update={"review_samples": 4})))
    write_sheet(Run(own.model_copy(update={"review_samples": 12})))
    assert Counter(row["note"] for row in sheet_rows(own)) == {"read twice": 16, "": 8}


def test_make_review_says_what_to_do_with_the_sheet(judged: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", f"OUTPUTS_DIR={judged.outputs_dir}", "RUN=t", "REVIEW_SAMPLES=3"]) == 0
    said = capsys.readouterr().out
    assert "3 samples with 6 criteria" in said and "make analyze RUN=t REVIEW_CSV=" in said


def test_a_run_that_was_not_judged_gives_one_line(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(settings, [a_sample()])
    assert main(["review", f"OUTPUTS_DIR={settings.outputs_dir}", "RUN=t"]) == 1
    assert "run 02_filter with the same RUN first" in capsys.readouterr().err


# ── the labels ───────────────────────────────────────────────────────────────────────────────────────────────────────


def dropped_and_kept(settings: Settings) -> tuple[list[str], list[str]]:
    """Return the ids on the sheet by what the judge decided."""
    ids = list(dict.fromkeys(row["sample"] for row in sheet_rows(settings)))
    dropped = [name for name in ids if (int(name[5:7]) - 10) % 4 == 0]
    return dropped, [name for name in ids if name not in dropped]


def test_agreement_is_counted_by_criterion_and_by_sample(judged: Settings) -> None:
    """People agree on all but one kept sample, which they find condescending (r2), and one dropped one, which they find good."""
    write_sheet(Run(judged))
    dropped, kept = dropped_and_kept(judged)
    no = {(name, "r2"): "no" for name in dropped[1:]} | {(kept[0], "r2"): "no"}
    found = agreement(filled_in(judged, no))
    assert found == Agreement(
        criteria=Pairs(both=8 + 8 - len(dropped) - 1, only_first=1, only_second=1, neither=len(dropped) - 1),
        samples=Pairs(both=len(kept) - 1, only_first=1, only_second=1, neither=len(dropped) - 1),
        unlabelled=0,
        strata=(
            Stratum(passes=False, is_divided=True, size=5, labelled=len(dropped), good=1),
            Stratum(passes=True, is_divided=False, size=15, labelled=len(kept), good=len(kept) - 1),
        ),
    )


def test_labels_weigh_as_many_samples_as_they_stand_for(judged: Settings) -> None:
    """3 of the 5 dropped samples and 5 of the 15 kept ones are labelled. People find 1 of the 3 and 4 of the 5 good."""
    write_sheet(Run(judged))
    dropped, kept = dropped_and_kept(judged)
    assert (len(dropped), len(kept)) == (3, 5), "dropped ones are drawn more often"
    found = agreement(filled_in(judged, {(name, "r2"): "no" for name in (*dropped[1:], kept[0])}))
    assert found and found.sensitivity and found.specificity and found.good
    assert found.good[0] == pytest.approx(0.75 * 4 / 5 + 0.25 * 1 / 3)
    assert found.sensitivity.rate == pytest.approx(12 / (12 + 5 / 3))
    assert found.specificity.rate == pytest.approx((5 * 2 / 3) / (5 * 2 / 3 + 3))


def test_labels_of_what_topping_up_made_do_not_count(judged: Settings) -> None:
    write_sheet(Run(judged))
    samples = [sample.model_copy(update={"metadata": sample.metadata.model_copy(update={"origin": "top_up"})}) for sample in made(judged)]
    write_run(judged, samples, [an_evaluation(sample) for sample in samples])
    keep(judged)
    found = agreement(filled_in(judged, {}))
    assert found is not None
    assert (found.good, found.strata, found.samples.total) == (None, (), 8)


def made(settings: Settings) -> list[Sample]:
    return list(made_samples(Run(settings)))


def test_a_larger_sheet_holds_the_answers_so_far(judged: Settings) -> None:
    write_sheet(Run(judged))
    labelled = filled_in(judged, {(dropped_and_kept(judged)[0][0], "r1"): "no"})
    write_sheet(Run(labelled.model_copy(update={"review_samples": 12})))
    answered = [row["met"] for row in sheet_rows(labelled)]
    assert (answered.count("yes"), answered.count("no"), answered.count("")) == (15, 1, 8)
    write_sheet(Run(labelled.model_copy(update={"review_samples": 14})))  # nobody has written anything into it


def test_the_judges_sensitivity_is_taken_from_the_labels(judged: Settings) -> None:
    """All 16 planted are caught, 15 of 20 pass: theta = (0.75 + 1 - 1)/(1 + q1 - 1) = 0.75/q1, where q1 = 15/(15 + 5/3)."""
    write_sheet(Run(judged))
    dropped, _ = dropped_and_kept(judged)
    labelled = filled_in(judged, {(name, "r2"): "no" for name in dropped[1:]})
    found = trust(tables(labelled))
    assert found.good.from_planted is not None
    assert found.good.from_both is not None and found.corrected == found.good.from_labels, "labels need no assumption"
    assert found.good.from_planted[0] == pytest.approx(0.75 / (15 / (15 + 5 / 3)))
    assert ASSUMED not in found.good.assumptions and ASSUMED in trust(tables(judged)).good.assumptions


def test_rows_left_empty_are_counted_and_their_sample_is_not_compared(judged: Settings) -> None:
    write_sheet(Run(judged))
    _, kept = dropped_and_kept(judged)
    found = agreement(filled_in(judged, {(kept[0], "r1"): ""}))
    assert found is not None
    assert found.unlabelled == 1
    assert found.criteria.agreed.total == 15 and found.samples.agreed.total == 7


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_sheet_is_read_as_any_spreadsheet_saves_it(judged: Settings, delimiter: str) -> None:
    write_sheet(Run(judged))
    found = agreement(filled_in(judged, {}, delimiter=delimiter))
    assert found is not None and found.criteria.agreed.total == 16


@pytest.mark.parametrize(
    ("written", "met"), [("Yes", True), (" y ", True), ("TRUE", True), ("1", True), ("NO", False), ("0", False), ("", None)]
)
def test_yes_and_no_may_be_written_in_several_ways(judged: Settings, written: str, met: bool | None) -> None:
    write_sheet(Run(judged))
    row = sheet_rows(judged)[0]
    labelled = filled_in(judged, {(row["sample"], row["rubric"]): written})
    assert read_sheet(Path(labelled.review_csv))[0].met is met


def test_anything_else_names_the_row(judged: Settings) -> None:
    write_sheet(Run(judged))
    row = sheet_rows(judged)[3]
    with pytest.raises(ReviewError, match=r"row 5: met is 'perhaps'. Write yes or no"):
        agreement(filled_in(judged, {(row["sample"], row["rubric"]): "perhaps"}))


def twice(settings: Settings, first: str, second: str) -> Settings:
    """Fill the sheet in, with another row at its end that has the same sample and criterion as the first one."""
    labelled = filled_in(settings, {(sheet_rows(settings)[0]["sample"], sheet_rows(settings)[0]["rubric"]): first})
    path = Path(labelled.review_csv)
    with path.open("a", encoding="utf-8", newline="") as file:
        row = sheet_rows(settings)[0] | {"met": second}
        csv.DictWriter(file, list(row)).writerow(row)
    return labelled


def test_a_criterion_that_is_answered_twice_and_differently_is_an_error_that_names_both_rows(judged: Settings) -> None:
    write_sheet(Run(judged))
    with pytest.raises(ReviewError, match=r"rows 2 and 18: .* is answered twice"):
        agreement(twice(judged, "yes", "no"))


@pytest.mark.parametrize("answers", [("yes", "yes"), ("", "yes"), ("yes", ""), ("yes", "y")])
def test_a_criterion_that_is_answered_twice_in_the_same_way_counts_once(judged: Settings, answers: tuple[str, str]) -> None:
    write_sheet(Run(judged))
    found = agreement(twice(judged, *answers))
    assert found is not None
    assert found.criteria.agreed.total == 16 and found.unlabelled == 0


def test_what_stands_in_columns_that_are_not_read_does_not_matter(judged: Settings) -> None:
    write_sheet(Run(judged))
    labelled = filled_in(judged, {})
    path = Path(labelled.review_csv)
    path.write_bytes(path.read_bytes().replace(b"Reply 1", b"Reply \x0b\xff1"))
    found = agreement(labelled)
    assert found is not None and found.criteria.agreed.total == 16


def test_labels_of_a_response_that_was_written_anew_are_refused(judged: Settings) -> None:
    write_sheet(Run(judged))
    labelled = filled_in(judged, {})
    changed = [a_sample(f"seed0{number}_var1", rubrics=rubrics_of(5, -5, 1), response="Another.") for number in range(10, 30)]
    write_run(judged, changed, [an_evaluation(sample) for sample in changed])
    with pytest.raises(ReviewError, match="has changed since the sheet was written"):
        agreement(labelled)


def test_labels_of_another_run_are_refused(judged: Settings) -> None:
    write_sheet(Run(judged))
    labelled = filled_in(judged, {})
    other: list[Sample] = [a_sample("seed999_var1", rubrics=rubrics_of(5, -5))]
    write_run(judged, other, [an_evaluation(other[0])])
    with pytest.raises(ReviewError, match="is no judged sample of run t"):
        agreement(labelled)


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "", None], ids=["other columns", "empty", "missing"])
def test_a_file_that_is_no_sheet_is_one_line(judged: Settings, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "sheet.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ReviewError, match=r"sheet\.csv"):
        agreement(judged.model_copy(update={"review_csv": str(path)}))


# ── what the labels say ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_ban_that_people_find_broken_makes_a_sample_bad_as_it_does_for_the_judge(judged: Settings) -> None:
    """One of two criteria is enough at a threshold of 0.4, but the ban r2 is a veto."""
    at_less = judged.model_copy(update={"critical_pass_threshold": 0.4})
    keep(at_less)
    write_sheet(Run(at_less))
    broken = filled_in(at_less, {(row["sample"], "r2"): "no" for row in sheet_rows(at_less)})
    found = agreement(broken)
    assert found and found.samples.first == 0
    without = broken.model_copy(update={"ban_is_veto": False})
    keep(without)
    found = agreement(without)
    assert found and found.samples.first == 8


def test_the_share_of_good_ones_among_those_that_pass_comes_first(judged: Settings) -> None:
    """Four of 5 labelled ones that pass are good, and all 3 dropped ones: 0.85. Wilson: 12 of 15 from 0.55 to 0.93, 5 of 5 from 0.57."""
    write_sheet(Run(judged))
    _, kept = dropped_and_kept(judged)
    found = agreement(filled_in(judged, {(kept[0], "r2"): "no"}))
    assert found is not None
    assert found.good_of_passed is None, "five are too few"
    assert found.line == "labels of the other 12 samples would narrow the interval of all to about 63% to 95%"


def test_where_labels_and_planted_failures_disagree_no_number_is_made_of_both() -> None:
    good = GoodRate(from_labels=(0.7, 0.6, 0.8), from_planted=(0.98, 0.9, 1.0), assumption="")
    assert good.from_both is None and good.best == (0.7, 0.6, 0.8)
    assert DISAGREE in good.lines


def test_labels_that_find_fewer_good_than_the_judge_passes_are_a_warning() -> None:
    assert about_labels((0.6, 0.5, 0.7), passed=Share(95, 100))[0].startswith(
        "By people's labels 60% of the samples are good, and at most 70%"
    )
    assert about_labels((0.9, 0.8, 0.97), passed=Share(95, 100)) == about_labels(None, passed=Share(95, 100)) == []


def test_one_miss_of_sixteen_says_that_too_few_were_planted_and_not_that_the_judge_is_weak() -> None:
    def told(caught: int) -> str:
        pairs = Pairs(both=16 - caught, only_first=caught)
        return about_catches(Catches({"praise_only": pairs}, touched=Share(0, 0)), planted=16)[0]

    assert "Raise PLANTED_SHARE" in told(15)
    assert "can't be trusted" in told(8)
