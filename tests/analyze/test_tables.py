"""A run is read once: what notebook 3 and the data card show follows from the tables alone."""

import json
from collections.abc import Callable
from typing import Any

import matplotlib
import pandas
import pytest

from lib import analyze
from lib.analyze import rows
from lib.analyze.costs import costs
from lib.analyze.losses import failing_criteria
from lib.analyze.statistics import statistics
from lib.errors import KitError
from lib.publish.splits import split_samples
from lib.run.files import RunError, write_jsonl
from lib.run.manifest import update_manifest
from lib.run.run import Run
from lib.settings import Settings
from tests.build import a_planted, a_sample, an_evaluation, rubrics_of, tables, write_run

matplotlib.use("Agg")


def test_with_the_files_gone_the_tables_still_give_every_figure_and_number(settings: Settings) -> None:
    samples = [a_sample(f"seed{number:03}_var1", rubrics=rubrics_of(5, 5, -5, 1), response=f"Reply {number}.") for number in range(32)]
    evaluations = [an_evaluation(sample, failed=["r2"] if sample is samples[0] else []) for sample in samples]
    write_run(settings, samples, evaluations, planted=[a_planted(sample, failed=["r1"]) for sample in samples[1:17]])
    update_manifest(Run(settings), "generation", values={"finished": "2026-12-01"})
    found, split = tables(settings), split_samples(Run(settings))
    for path in Run(settings).dir.glob("*.json*"):
        path.unlink()
    assert (statistics(found)["kept_samples"], split.samples) == (31, 31)
    assert analyze.trust(found).all_caught.hits == 16
    assert len(analyze.variety_table(found)) > 10
    assert [row["criterion"] for row in failing_criteria(found)] == [samples[0].metadata.rubrics[1].criteria]
    assert costs(found).rows() == []
    for by in ("subject", "misconception_type", "level", "origin", "tutoring_skill", "eval_dimension", "spoiling"):
        assert not isinstance(analyze.plot_rates(found, by), str)
    assert not isinstance(analyze.plot_rates(found, "subject", "misconception_type"), str)
    assert analyze.plot_overview(found).axes and analyze.plot_scores(found).axes
    assert "31 of 32 are kept" in analyze.conclusions(found).losses


def test_tables_read_in_several_frames_are_those_read_in_one(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first two samples are unjudged and the last was judged twice, so columns of one frame have other types than those of the next."""
    samples = [a_sample(f"seed{number:03}_var1", rubrics=rubrics_of(5, 5, 1), response=f"Reply {number}.") for number in range(7)]
    evaluations = [an_evaluation(sample, failed=["r2"] if sample is samples[3] else []) for sample in samples[2:]]
    again = tuple(verdict.model_copy(update={"votes": (True, False)}) for verdict in evaluations[-1].verdicts)
    evaluations[-1] = evaluations[-1].model_copy(update={"verdicts": again})
    write_run(settings, samples, evaluations)
    whole = tables(settings)
    monkeypatch.setattr(rows, "ROWS_A_FRAME", 2)
    parts = tables(settings)
    assert len(parts.samples) == 7 and len(parts.verdicts) == 15
    pandas.testing.assert_frame_equal(parts.samples, whole.samples)
    pandas.testing.assert_frame_equal(parts.verdicts, whole.verdicts)


def test_a_row_says_what_the_sample_is_about_what_became_of_it_and_how_it_was_scored(settings: Settings) -> None:
    """One of two critical criteria and the minor one are met: 6 of the 11 points."""
    sample = a_sample(rubrics=rubrics_of(5, 5, 1), level="college")
    write_run(settings, [sample], [an_evaluation(sample, failed=["r1"], quality_score=2)])
    (row,) = tables(settings).samples.to_dict("records")
    assert (row["level"], row["status"], row["reason"], row["kept"]) == ("college", "dropped", "critical_rubrics_failed", False)
    assert (row["critical_passed"], row["critical_total"], row["critical_pass_rate"], row["quality_score"]) == (1, 2, 0.5, 2)
    assert row["weighted_score"] == 6 / 11


@pytest.mark.parametrize("by", ["levle", "met", "response_words"])
def test_a_column_by_which_there_are_no_rates_is_named_with_those_there_are(by: str, settings: Settings) -> None:
    with pytest.raises(KitError, match=rf"no rates by {by}\. There are rates of samples: subject, area, topic, level"):
        analyze.plot_rates(tables(write_run(settings, [a_sample()])), by)


EDITS: dict[str, Callable[[list[dict[str, Any]]], list[dict[str, Any]]]] = {
    "a line is gone": lambda rows: rows[1:],
    "a dropped sample is called kept": lambda rows: [rows[0] | {"status": "kept"}, *rows[1:]],
    "a kept sample is called dropped": lambda rows: [*rows, rows[0] | {"id": "s2"}],
    "a sample that was not made": lambda rows: [*rows, rows[0] | {"id": "s9"}],
}


@pytest.mark.parametrize("how", EDITS)
def test_decisions_that_were_changed_by_hand_are_one_line_and_publish_nothing(how: str, settings: Settings) -> None:
    samples = [a_sample(f"s{number}") for number in range(3)]
    write_run(settings, samples, [an_evaluation(sample, failed=["r1"] if sample is samples[0] else []) for sample in samples])
    tables(settings)
    path = Run(settings).dropped
    rows = EDITS[how]([json.loads(line) for line in path.read_text("utf-8").splitlines()])
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(RunError, match=r"do not agree on s\d|s9 is no sample of this run"):
        tables(settings)


def test_a_run_that_was_judged_again_is_not_shown_with_its_old_decisions(settings: Settings) -> None:
    samples = [a_sample("s0")]
    write_run(settings, samples, [an_evaluation(samples[0])])
    tables(settings)
    write_jsonl(Run(settings).evaluations, [an_evaluation(samples[0], failed=["r1"])])
    with pytest.raises(RunError, match="has changed since it was filtered"):
        tables(settings)
