"""The page of a run is one file that holds every sample, and in which nothing of a model's text can run."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from lib.analyze.sheet import to_review
from lib.commands.__main__ import main
from lib.publish.page import Page, write_page, write_review_form
from lib.publish.page.entries import diff
from lib.run.manifest import update_manifest
from lib.run.run import Run
from lib.schema import Sample
from lib.settings import Settings
from tests.build import a_planted, a_rubric, a_sample, an_evaluation, count, keep, rubrics_of, write_run

HOSTILE = "<script>window.ran = 1</script><img src=x onerror='window.ran = 2'>]]></script>"


def packed(path: Path) -> list[Any]:
    """Return what the packed scripts of a page hold, the index last."""
    found = re.findall(r'<script type="application/octet-stream"[^>]*>(.*?)</script>', path.read_text("utf-8"))
    return [json.loads(gzip.decompress(base64.b64decode(text))) for text in found]


def page_of(settings: Settings, samples: list[Sample], **files: Any) -> Page:
    """Write a run of these samples, of which r2 fails in each second one, and its page."""
    evaluations = [an_evaluation(sample, failed=["r2"] if number % 2 else []) for number, sample in enumerate(samples)]
    write_run(settings, samples, evaluations, **files)
    for section in ("generation", "judging"):
        update_manifest(Run(settings), section, values={"settings": settings.model_dump(mode="json"), "finished": "2026-12-01"})
    keep(settings)
    count(settings)
    return write_page(Run(settings))


def some(number: int, **about: Any) -> Sample:
    return a_sample(f"seed{number:03d}_var1", rubrics=rubrics_of(5, 5, -5, 1), **about)


def test_every_sample_is_there_with_its_status_and_scores(settings: Settings) -> None:
    page = page_of(settings, [some(number) for number in range(1, 251)])
    *chunks, index = packed(page.path)
    assert [len(chunk) for chunk in chunks] == [100, 100, 50]
    lines = [dict(zip(index["columns"], line, strict=True)) for line in index["lines"]]
    assert [line["status"] for line in lines[:2]] == ["kept", "dropped"]
    assert lines[1] | {"title": ""} == {
        "id": "seed002_var1", "status": "dropped", "reason": "critical rubrics failed", "subject": "Microeconomics",
        "kind": "Overgeneralization",
        "level": "High school", "origin": "planned", "near": 1, "quality": 4, "weighted": 0.545, "failed": ["Identifies misconception"],
        "title": "",
    }  # fmt: skip
    assert str(page).endswith(f"250 samples to browse, {page.path.stat().st_size / 1e6:.1f} MB")


def test_failed_criteria_come_first_and_importance_is_a_word(settings: Settings) -> None:
    chunk, _ = packed(page_of(settings, [some(1), some(2)]).path)
    assert [(row["id"], row["importance"], row["met"]) for row in chunk[1]["verdicts"]] == [
        ("r2", "critical", False), ("r1", "critical", True), ("r3", "ban", True), ("r4", "minor", True),
    ]  # fmt: skip


def test_a_planted_copy_stands_beside_its_original_and_a_repair_beside_its_near_miss(settings: Settings) -> None:
    near, repaired = some(2, response="It is lost."), some(3, response="It is gone.", origin="repair", repaired_from="seed002_var1")
    chunk, _ = packed(page_of(settings, [some(1), near, repaired], planted=[a_planted(some(1), failed=["r2"])]).path)
    assert chunk[0]["planted"][0]["failed"] == ["r2"]
    assert chunk[1]["twin"] == {"id": "seed003_var1", "is_near": False, "diff": [[0, "It is "], [-1, "lost"], [1, "gone"], [0, "."]]}
    assert chunk[2]["twin"]["id"] == "seed002_var1" and chunk[2]["twin"]["is_near"]


def test_the_two_sides_of_a_diff_are_the_two_texts() -> None:
    before, after = "Both **count**.\nEach $x$", "Each counts, and\n\nboth $y$"
    assert "".join(text for kind, text in diff(before, after) if kind <= 0) == before
    assert "".join(text for kind, text in diff(before, after) if kind >= 0) == after


def test_two_endless_texts_are_shown_one_after_the_other() -> None:
    """To compare each word of the one with each of the other would take minutes."""
    before, after = "a b " * 20_000, "c d " * 20_000
    assert diff(before, after) == [(-1, before), (1, after)]


def test_a_models_text_is_nowhere_markup(settings: Settings) -> None:
    about = {
        "question": HOSTILE,
        "explanation": HOSTILE,
        "follow_up": HOSTILE,
        "misconception": HOSTILE,
        "topic": HOSTILE,
        "subject": HOSTILE,
    }
    sample = a_sample(rubrics=[a_rubric(criteria=HOSTILE)], response=HOSTILE, **about)
    page = page_of(settings, [sample])
    text = page.path.read_text("utf-8")
    assert "<script>window" not in text and "<img" not in text
    assert len(re.findall(r"<script>", text)) == 2, "the page's own"
    [entry], _ = packed(page.path)
    assert all("<script" not in entry[name] and "<img" not in entry[name] for name in ("question", "explanation", "follow_up", "response"))


def test_the_page_loads_nothing_and_its_policy_names_its_own_scripts_only(settings: Settings) -> None:
    text = page_of(settings, [some(1)]).path.read_text("utf-8")
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)[0]
    assert policy.startswith("default-src 'none'; script-src") and "unsafe" not in policy
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", text)


def test_katex_comes_only_with_formulas(settings: Settings) -> None:
    plain = page_of(settings, [some(1)]).path.stat().st_size
    formulas = page_of(settings.model_copy(update={"run": "f"}), [some(1, response="It is $x^2$.")])
    assert formulas.has_formulas and formulas.path.stat().st_size > plain + 200_000


def test_without_the_package_formulas_are_shown_as_latex_and_the_line_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lib.publish.page.html.KATEX", ("no-such-package", "katex.js"))
    assert "formulas are shown as LaTeX" in str(page_of(settings, [some(1, response="It is $x^2$.")]))


def test_the_same_run_gives_the_same_bytes(settings: Settings) -> None:
    page = page_of(settings, [some(1), some(2)])
    before = page.path.read_bytes()
    assert write_page(Run(settings)).path.read_bytes() == before
    first = re.findall(r'class="chunk">(.*?)</script>', before.decode())[0]
    assert base64.b64decode(first)[4:8] == bytes(4), "the time in a gzip header, RFC 1952"


def test_a_hundred_samples_of_usual_length_are_less_than_a_megabyte(settings: Settings) -> None:
    """Of 2,400 words each, none of which repeat, so that they are not compressed better than real text."""

    def words(seed: int) -> str:
        return " ".join(f"{seed * 7919 * (place + 1) % 100_003:x}" for place in range(600))

    samples = [
        some(number, response=words(number), question=words(-number), explanation=words(2 * number), follow_up=words(3 * number))
        for number in range(1, 101)
    ]
    assert page_of(settings, samples).path.stat().st_size < 1_000_000


def test_the_review_form_shows_the_drawn_samples_and_neither_verdicts_nor_severities(settings: Settings) -> None:
    settings = settings.model_copy(update={"review_samples": 3})
    page_of(settings, [some(number) for number in range(1, 9)])
    form = write_review_form(Run(settings))
    chunk, index = packed(form)
    assert index["lines"] == [[entry["id"]] for entry in chunk] == [[sample.id] for sample in to_review(Run(settings)).samples]
    assert set(chunk[0]) == {"id", "response_id", "question", "explanation", "follow_up", "response", "criteria"}
    assert [set(row) for row in chunk[0]["criteria"]] == [{"id", "text", "met"}] * 3, "the minor one is not asked for"
    assert not re.search(r"dropped|critical|severity|ban\b", json.dumps(chunk))


def test_make_report_says_where_the_page_is(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    page = page_of(settings, [some(1)])
    page.path.unlink()
    assert main(["report", f"OUTPUTS_DIR={settings.outputs_dir}"]) == 0
    assert "report.html: 1 sample to browse" in capsys.readouterr().out and page.path.exists()


def test_a_run_that_was_not_filtered_has_no_page(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(settings, [some(1)])
    assert main(["report", f"OUTPUTS_DIR={settings.outputs_dir}", "RUN=t"]) == 1
    assert "has not been filtered yet" in capsys.readouterr().err
