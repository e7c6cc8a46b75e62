"""Candidates answer rows in plain text, the judge decides each criterion, and the scores stand beside the baseline's on the same rows."""

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lib.evaluate import answer_and_judge, plot_evaluation, read_task, write_scores
from lib.evaluate.questions import SYSTEM_PROMPTS, prompt_of
from lib.evaluate.rows import NothingToEvaluate, read_rows, use_case_of
from lib.evaluate.scores import Scores
from lib.filter.examples import example_messages
from lib.llm.tally import RunFailed
from lib.run.files import RunError
from lib.run.records import kept_samples
from lib.run.run import Run
from lib.settings import Settings
from tests.answers import CRITERION, RESPONSE, Request
from tests.build import a_rubric, copy_run, publish, tables
from tests.provider import Provider

REPLIES = {
    "good": "GOOD. You took the first for the second. So which of the two does the question ask for?",
    "twin": "GOOD. You took the first for the second. So which of the two does the question ask for?",
    "praise": "What a thoughtful question. Keep that curiosity going.",
    "long": "GOOD. You took the first for the second. So which of the two does the question ask for? " * 2,
}
FREE = ",".join(f"{name}=0/0" for name in REPLIES)


def scripted(request: Request) -> dict[str, Any] | str | None:
    """A candidate's reply follows from its name. The judge finds every criterion met by a reply that holds GOOD, and none by another."""
    if request.schema is None:
        return REPLIES.get(request.body["model"])
    if "verdicts" in request.schema["properties"]:
        prompt = request.user_texts[-1]
        met = "GOOD" in RESPONSE.findall(prompt)[-1]
        verdicts = [{"rubric_id": name, "reasoning": "So.", "evidence": "", "met": met} for name in CRITERION.findall(prompt)]
        return {"verdicts": verdicts, "strengths": [], "weaknesses": [], "quality_score": 4}
    return None


@pytest.fixture
def run(same_provider: Provider, usual: Settings, settings: Settings) -> Settings:
    """The usual run, whose candidates are scripted."""
    copied = copy_run(usual, to=settings)
    same_provider.settings.answer = scripted
    halved = copied.model_copy(update={"price_usd_per_mtok": FREE, "validation_share": 0.5})
    publish(halved)
    return halved


def rows_csv(folder: Path, *, rows: int = 40, **columns: Any) -> str:
    """Write a file in TutorBench's columns, two rows a question. `columns` are of the first row."""
    rubrics = [
        {"criteria": text, "attributes": {"severity": severity, "tutoring_skill": "step_by_step_help", "eval_dimension": "truthfulness"}}
        for text, severity in (("The response must say which.", "critical"), ("The response must not agree.", "critical_negative"))
    ]
    path = folder / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        names = ["SUBJECT", "PROMPT", "UC1_INITIAL_EXPLANATION", "FOLLOW_UP_PROMPT", "RUBRICS", "IMAGE_URL"]
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        for number in range(rows):
            row = {
                "SUBJECT": ("Physics", "Biology")[number % 2],
                "PROMPT": f"Question {number // 2}?",
                "UC1_INITIAL_EXPLANATION": "Because.",
            }
            writer.writerow(row | {"FOLLOW_UP_PROMPT": f"But {number}?", "RUBRICS": json.dumps(rubrics)} | (columns if not number else {}))
    return str(path)


def evaluated(settings: Settings, candidates: str, **changes: Any) -> Scores:
    run = Run(settings.model_copy(update={"candidates": candidates} | changes))
    task = read_task(run)
    answer_and_judge(run, task)
    return write_scores(tables(run.settings), task)


# ── what a candidate is asked ────────────────────────────────────────────────────────────────────────────────────────


def test_a_candidate_gets_the_training_form_without_the_rubrics_and_answers_in_plain_text(run: Settings, same_provider: Provider) -> None:
    evaluated(run, "good")
    sample = next(one for one in kept_samples(Run(run)) if one.id == next(iter(read_rows(Run(run)))).id)
    asked, *_ = [request.body for request in same_provider.requests if request.body and request.body["model"] == "good"]
    system, user, _ = example_messages(sample)
    assert asked["system"][0]["text"] == system["content"]
    assert asked["messages"] == [{"role": "user", "content": user["content"]}]
    assert "output_config" not in asked
    assert not any(rubric.criteria in str(asked) for rubric in sample.metadata.rubrics)


def test_each_use_case_has_a_system_prompt_of_its_own(run: Settings, tmp_path: Path) -> None:
    path = rows_csv(tmp_path, UC1_INITIAL_EXPLANATION="", FOLLOW_UP_PROMPT="My work: 1 + 1 = 3.")
    first, second, *_ = read_rows(Run(run.model_copy(update={"rows_csv": path})))
    assert (first.use_case, second.use_case) == ("feedback", "explanation")
    assert prompt_of(first).system == SYSTEM_PROMPTS["feedback"] != prompt_of(second).system
    assert prompt_of(first).user == "## Question\nQuestion 0?\n\n## Student's Work\nMy work: 1 + 1 = 3."


@pytest.mark.parametrize(
    ("criterion", "use_case"),
    [
        ("The response must give a hint on the second step.", "hint"),
        ("The response must not reveal the final answer.", "hint"),
        ("The response must say that the sign in line 2 is wrong.", "feedback"),
        ("The response must not contain factual errors.", "feedback"),
    ],
)
def test_without_an_explanation_the_rubrics_tell_hints_from_feedback(criterion: str, use_case: str) -> None:
    assert use_case_of("", [a_rubric(criteria=criterion)]) == use_case
    assert use_case_of("Because.", [a_rubric(criteria=criterion)]) == "explanation"


# ── the rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_runs_own_rows_are_its_validation_samples(run: Settings) -> None:
    lines = (Run(run).dataset / "validation.jsonl").read_text("utf-8").splitlines()
    rows = read_rows(Run(run))
    assert len(rows) == len(lines) > 0
    assert all(row.question in line for row, line in zip(rows, lines, strict=True))
    assert rows.claim.startswith("smoke test: ")


def test_a_row_with_an_image_and_one_that_the_run_was_seeded_with_are_set_aside_and_counted(run: Settings, tmp_path: Path) -> None:
    with Path(run.seeds_csv).open(encoding="utf-8", newline="") as file:
        seed = next(csv.DictReader(file))["PROMPT"]
    seen = read_rows(Run(run.model_copy(update={"rows_csv": rows_csv(tmp_path, PROMPT=f" {seed} ")})))
    assert seen.set_aside == {"seen_in_training": 1} and len(seen) == 39
    drawing = read_rows(Run(run.model_copy(update={"rows_csv": rows_csv(tmp_path, IMAGE_URL="http://x/y.png")})))
    assert drawing.set_aside == {"image_needed": 1}


def test_a_row_of_bans_alone_has_no_score_and_is_set_aside_before_anything_is_paid(run: Settings, tmp_path: Path) -> None:
    ban = {"severity": "critical_negative", "tutoring_skill": "step_by_step_help", "eval_dimension": "truthfulness"}
    bans = json.dumps([{"criteria": "The response must not agree.", "attributes": ban}])
    rows = read_rows(Run(run.model_copy(update={"rows_csv": rows_csv(tmp_path, RUBRICS=bans)})))
    assert rows.set_aside == {"only_bans": 1} and len(rows) == 39


def test_samples_of_one_seed_are_one_group(run: Settings) -> None:
    seeds = {sample.id: sample.metadata.seed_prompt_sha256 for sample in kept_samples(Run(run))}
    rows = read_rows(Run(run))
    assert [row.group for row in rows] == [seeds[row.id] for row in rows]
    assert f"over {len({row.group for row in rows})} seed" in str(rows)


def test_fewer_rows_may_be_drawn_and_a_larger_draw_holds_the_smaller(run: Settings, tmp_path: Path) -> None:
    at = {"rows_csv": rows_csv(tmp_path)}
    few, many = ({row.id for row in read_rows(Run(run.model_copy(update=at | {"max_rows": most})))} for most in (5, 9))
    assert (len(few), len(many)) == (5, 9) and few < many


def test_a_run_that_was_not_split_says_which_notebook_to_run(run: Settings) -> None:
    (Run(run).dataset / "README.md").unlink()
    with pytest.raises(RunError, match="run 04_validate with the same RUN first"):
        read_rows(Run(run))


@pytest.mark.parametrize(
    ("changes", "says"),
    [({}, "Name the models to evaluate in CANDIDATES"), ({"candidates": "a", "baseline": "b"}, "is none of the candidates")],
)
def test_without_a_candidate_or_with_a_strange_baseline_it_says_what_to_name(run: Settings, changes: dict[str, str], says: str) -> None:
    with pytest.raises(NothingToEvaluate, match=says):
        read_task(Run(run.model_copy(update=changes)))


# ── scripted candidates ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_candidate_that_answers_well_is_better_than_one_that_only_praises(run: Settings, tmp_path: Path) -> None:
    """The praise breaks the ban and meets nothing: (0 × 5 - 5) ÷ 5 = -1, where all that is asked gives 1."""
    found = evaluated(run, "praise,good", rows_csv=rows_csv(tmp_path))
    assert [(mean.value, mean.rows, mean.groups) for name in found.candidates if (mean := found.score(name))] == [(-1, 40, 20), (1, 40, 20)]
    assert found.sentences == [
        "good scores 200.0 points more than praise (95 % interval 200.0 to 200.0) on 40 rows that both answered. By this judge and on rows "
        "like these it is better. Its replies are 125% longer, which judges like."
    ]
    assert found.rows_asked.claim.startswith("benchmark rows: 40 of ")
    assert found.catch_line in str(found), "no score stands without what its judge catches"


def test_one_that_is_twice_as_long_with_nothing_new_is_no_better(run: Settings, tmp_path: Path) -> None:
    found = evaluated(run, "good,long", rows_csv=rows_csv(tmp_path))
    assert "It may be no better and no worse" in found.sentences[0]
    assert (found.words("good"), found.words("long")) == (18, 36)


def test_of_fewer_than_thirty_rows_nothing_follows(run: Settings, tmp_path: Path) -> None:
    found = evaluated(run, "praise,good", rows_csv=rows_csv(tmp_path), max_rows=20)
    assert found.sentences[0].endswith("Of so few rows nothing follows.")
    assert plot_evaluation(found, "differences") == "20 rows are too few for differences by subject: at least 30 are needed."


def test_the_baseline_may_be_named_and_comes_first(run: Settings, tmp_path: Path) -> None:
    found = evaluated(run, "good,praise,twin", baseline="twin", rows_csv=rows_csv(tmp_path))
    assert found.candidates == ("twin", "good", "praise")
    assert [row["points beside the baseline"] for row in found.rows()] == [
        "baseline", "+0.0 (95 % interval 0.0 to 0.0)", "-200.0 (95 % interval -200.0 to -200.0)",
    ]  # fmt: skip
    for what in ("scores", "differences", "length"):
        assert not isinstance(plot_evaluation(found, what), str)  # type: ignore[arg-type]  # one of the three


def test_scores_are_told_by_use_case_subject_skill_and_dimension(run: Settings, tmp_path: Path) -> None:
    found = evaluated(run, "praise,good", rows_csv=rows_csv(tmp_path, UC1_INITIAL_EXPLANATION=""))
    assert {row["use case"] for row in found.by("use_case")} == {"explanation", "feedback"}
    assert {row["subject"]: row["rows"] for row in found.by("subject")} == {"Physics": 20, "Biology": 20}
    assert found.by("tutoring_skill")[0]["good"].startswith("100.0%")
    stored = json.loads((Run(run).dir / "evaluation" / "scores.json").read_text("utf-8"))
    assert stored["candidates"]["good"]["by"]["subject"]["Physics"]["mean"] == 1.0
    assert stored["candidates"]["good"]["difference"] == {"mean": 2.0, "low": 2.0, "high": 2.0, "rows": 40, "groups": 20}


def test_a_judge_of_the_candidates_family_is_named(run: Settings, tmp_path: Path) -> None:
    found = evaluated(run, "claude-haiku-5-5", rows_csv=rows_csv(tmp_path))
    assert any(remark.startswith("The judge is of the family of claude-haiku-5-5") for remark in found.remarks)


# ── money, and going on ──────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_asked_twice_and_only_candidates_and_judge_are_asked(run: Settings, same_provider: Provider, tmp_path: Path) -> None:
    at = {"rows_csv": rows_csv(tmp_path)}
    evaluated(run, "good", **at)
    asked = Counter(request.body["model"] for request in same_provider.requests if request.body)
    assert asked == {"good": 40, "claude-sonnet-5-5": 40}
    evaluated(run, "good", **at)
    assert same_provider.calls == 80
    task = read_task(Run(run.model_copy(update={"candidates": "good,twin"} | at)))
    assert [line.left[0] for line in task.estimate.stages] == [0, 40, 40], "good is answered, and one of the two judged"


def test_what_was_paid_for_the_rows_of_another_file_is_not_taken_off(run: Settings, tmp_path: Path) -> None:
    evaluated(run, "good", rows_csv=rows_csv(tmp_path))
    other = rows_csv(tmp_path, rows=6)
    Path(other).write_text(Path(other).read_text("utf-8").replace("Question", "Exercise"), "utf-8")
    task = read_task(Run(run.model_copy(update={"candidates": "good", "rows_csv": other})))
    assert [line.left[0] for line in task.estimate.stages] == [6, 6]


def test_the_catch_rate_of_another_judge_does_not_stand_beside_the_scores(run: Settings, tmp_path: Path) -> None:
    own = evaluated(run, "good", rows_csv=rows_csv(tmp_path))
    other = evaluated(run, "good", rows_csv=rows_csv(tmp_path), judge_model="claude-haiku-5-5")
    assert "not known" not in own.catch_line
    assert "how many planted failures claude-haiku-5-5 catches is not known" in other.catch_line


def test_no_interval_ends_beyond_the_best_score(run: Settings, tmp_path: Path) -> None:
    """Of two groups one failed, so that Student's interval is far wider than 100 %."""
    found = evaluated(run, "good", rows_csv=rows_csv(tmp_path, rows=4))
    last = found.answers["row_id"].max()
    failed = {"score": (found.answers["row_id"] != last).astype(float)}
    unmet = {"met": found.criteria["row_id"] != last}
    mixed = replace(found, answers=found.answers.assign(**failed), criteria=found.criteria.assign(**unmet))
    score, met = mixed.score("good"), mixed.met("good")
    assert score and met and (score.value, score.high) == (0.75, 1.0) and (met.low, met.high) == (0.0, 1.0)
    by_subject = mixed.as_record()["candidates"]["good"]["by"]["subject"]
    assert all(record["high"] is None or record["high"] <= 1.0 for record in by_subject.values())


def test_a_writer_without_a_key_does_not_stop_an_evaluation(
    run: Settings, same_provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.delenv("ANTHROPIC_BASE_URL")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{same_provider.url}/v1")
    prices = f"{FREE},gpt-judge=0/0"
    found = evaluated(run, "good", judge_model="gpt-judge", price_usd_per_mtok=prices, provider="openai")
    assert len(found.answers) == len(read_rows(Run(run)))


def test_the_budget_is_that_of_the_evaluation_alone(run: Settings, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="over_budget"):
        evaluated(run, "good", rows_csv=rows_csv(tmp_path), budget_usd=0.0001)
    assert len(evaluated(run, "good", rows_csv=rows_csv(tmp_path), budget_usd=5.0).answers) == 40


def test_a_candidate_that_refuses_some_rows_is_compared_on_the_others_and_that_is_said(
    run: Settings, same_provider: Provider, tmp_path: Path
) -> None:
    same_provider.settings.fault_for = lambda request, _: (
        "refusal" if request.body["model"] == "good" and "But 1" in str(request.body) else None
    )
    found = evaluated(run, "twin,good", rows_csv=rows_csv(tmp_path), min_call_success=0.5)
    difference = found.difference("good")
    assert difference and difference.rows == 29, "But 1 and But 10 to 19 are refused"
    assert any("good has no judged answer on 11 rows" in remark for remark in found.remarks)
