"""The notebooks, headless through papermill in real kernels: against the loopback provider, and once with the embedded model."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil  # comes with ipykernel
import pytest
import yaml

from lib.analyze.sheet import write_sheet
from lib.commands.summary import summary
from lib.run.files import read_jsonl
from lib.run.run import Run
from lib.schema import Sample
from lib.settings import PROJECT_ROOT, Settings
from lib.validate.check import validate_file
from tests.build import count, make_run
from tests.conftest import point_to
from tests.provider import Provider

NOTEBOOKS = ("01_generate", "02_filter", "03_analyze", "04_validate")
KEY = "sk-ant-a-secret-for-this-test"
CHANGED = {"random_seed": 3, "critical_pass_threshold": 0.5}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "lib.commands", *words]


def done(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)


@dataclass(frozen=True)
class Made:
    """A run that the notebooks made, and what they printed."""

    folder: Path
    pairs: tuple[str, ...]
    process: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def lasting_provider() -> Iterator[Provider]:
    """As everywhere, but with a key that can be looked for."""
    with Provider() as running, pytest.MonkeyPatch.context() as environment:
        point_to(running, environment, key=KEY)
        yield running


@pytest.fixture(scope="module")
def made(lasting_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A run of all four notebooks."""
    folder = tmp_path_factory.mktemp("out puts")
    pairs = (f"OUTPUTS_DIR={folder}", "RUN=nb")
    changes = (f"{name.upper()}={value}" for name, value in CHANGED.items())
    return Made(folder / "nb", pairs, done("notebooks", *NOTEBOOKS, *pairs, *changes))


def test_all_four_run_and_leave_their_executed_copies(made: Made) -> None:
    assert made.process.returncode == 0, made.process.stderr
    assert sorted(path.stem for path in (made.folder / "notebooks").iterdir()) == list(NOTEBOOKS)
    figures = {path.name for path in (made.folder / "figures").iterdir()}
    assert figures == {"overview.png", "scores.png"}  # four samples are too few for rates by subject


def test_defaults_that_did_not_count_are_folded_in_the_executed_copy(made: Made) -> None:
    """They would stand right above the values that did."""
    cells = nbformat.read(made.folder / "notebooks" / "01_generate.ipynb", 4).cells
    hidden = {tag: cell.metadata.get("jupyter", {}).get("source_hidden") for cell in cells for tag in cell.metadata.get("tags", ())}
    assert hidden == {"parameters": True, "injected-parameters": None}


def test_they_end_in_a_training_file_without_errors(made: Made) -> None:
    report = json.loads((made.folder / "validation_report.json").read_text())
    found = json.loads((made.folder / "filtering_statistics.json").read_text())
    assert report["errors"] == 0
    assert report["examples"] == found["kept_samples"] > 0


def test_the_summary_says_what_was_made_kept_dropped_failed_and_paid(made: Made) -> None:
    said = done("summary", *made.pairs).stdout
    assert "4 planned = 4 made + 0 failed" in said
    assert "4 made = " in said and " dropped + 0 unjudged" in said
    assert "planted failures caught: " in said and "too few to tell" in said
    assert "cost $0." in said
    assert "tutoring_finetune_openai.jsonl" in said


def test_the_key_is_in_no_executed_notebook(made: Made) -> None:
    assert KEY not in made.process.stdout + made.process.stderr
    assert all(KEY.encode() not in path.read_bytes() for path in made.folder.rglob("*") if path.is_file())


def test_progress_is_written_line_by_line_when_nobody_watches(made: Made) -> None:
    assert "4/4 samples (100 %)" in made.process.stdout
    assert "\r" not in made.process.stdout


# ── a model that was trained on it ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def evaluated(made: Made) -> Made:
    """A copy of the run, with two candidates asked."""
    asked = ("CANDIDATES=claude-haiku-5-5,claude-sonnet-5-5", "ROWS_CSV=data/seeds.csv", "MAX_ROWS=3", "JUDGE_MODEL=claude-opus-5-5")
    copy = made.folder.with_name("evaluated")
    shutil.copytree(made.folder, copy)
    return Made(copy, asked, done("notebooks", "05_evaluate", made.pairs[0], "RUN=evaluated", *asked))


def test_notebook_5_evaluates_candidates_on_rows_of_a_file_and_leaves_scores(evaluated: Made) -> None:
    process, copy = evaluated.process, evaluated.folder
    assert process.returncode == 0, process.stderr
    assert "6 of 6 samples answered and judged" in process.stdout
    assert "Of so few rows nothing follows." in process.stdout
    assert (copy / "notebooks" / "05_evaluate.ipynb").exists() and (copy / "figures" / "evaluation_scores.png").exists()
    assert list(json.loads((copy / "evaluation" / "scores.json").read_text())["candidates"]) == ["claude-haiku-5-5", "claude-sonnet-5-5"]


# ── a run again, and a run that is topped up, at the same time ───────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def side_by_side(made: Made) -> tuple[Made, Made]:
    """The run made again from its manifest, and a copy of it topped up and labelled by people. Both were at work at the same time."""
    outputs, copy = made.folder.parent, made.folder.with_name("topped_up")
    shutil.copytree(made.folder, copy)
    sheet = write_sheet(Run(Settings.of(outputs_dir=str(outputs), run="topped_up")).as_filtered).read_text("utf-8")
    (outputs / "labels.csv").write_text(sheet.replace('"",""\n', '"yes",""\n'), "utf-8")
    top_up = (f"OUTPUTS_DIR={outputs}", "RUN=topped_up", "TOP_UP=true", "TARGET_KEPT=6", f"REVIEW_CSV={outputs / 'labels.csv'}")
    commands = command("rerun", str(made.folder)), command("notebooks", *NOTEBOOKS[1:], *top_up)
    pipe = subprocess.PIPE
    running = [subprocess.Popen(words, cwd=PROJECT_ROOT, stdout=pipe, stderr=pipe, text=True) for words in commands]
    said = [process.communicate() for process in running]
    again, topped_up = (
        subprocess.CompletedProcess(process.args, process.returncode, *texts) for process, texts in zip(running, said, strict=True)
    )
    return Made(outputs / "nb_again", (), again), Made(copy, top_up, topped_up)


def test_a_run_is_made_again_from_its_manifest_while_another_is_at_work(made: Made, side_by_side: tuple[Made, Made]) -> None:
    """Given the same replies both have the same files."""
    again, _ = side_by_side
    assert again.process.returncode == 0, again.process.stderr
    assert "has changed since" not in again.process.stdout and "4 planned = 4 made" in again.process.stdout
    for name in ("tutoring_samples_generated.jsonl", "evaluations.jsonl", "tutoring_finetune_openai.jsonl", "params.yaml"):
        assert (again.folder / name).read_bytes() == (made.folder / name).read_bytes(), name
    settings = json.loads((again.folder / "manifest.json").read_text())["judging"]["settings"]
    assert settings["run"] == "nb_again" and CHANGED.items() <= settings.items()


def test_a_run_is_topped_up_and_peoples_labels_are_read_by_the_same_notebooks(side_by_side: tuple[Made, Made]) -> None:
    _, topped_up = side_by_side
    assert topped_up.process.returncode == 0, topped_up.process.stderr
    assert "now, 6 wanted" in topped_up.process.stdout and "the target is reached" in topped_up.process.stdout
    assert "people and judge agree on criteria:" in topped_up.process.stdout
    said = summary(Run(Settings.of(outputs_dir=str(topped_up.folder.parent), run="topped_up")))
    assert "topped up: " in said and "6 kept" in said


def test_the_parameter_file_of_a_run_is_what_papermill_takes(made: Made) -> None:
    values = yaml.safe_load((made.folder / "params.yaml").read_text("utf-8"))
    assert Settings.of(**values).changed() == CHANGED
    assert "run" not in values and "outputs_dir" not in values


def test_a_folder_without_a_run_cannot_be_made_again(tmp_path: Path) -> None:
    said = done("rerun", str(tmp_path))
    assert said.returncode == 1
    assert "There is no finished run in" in said.stderr and "Traceback" not in said.stderr


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_users_mistake_is_one_clear_line_and_a_failed_copy(tmp_path: Path) -> None:
    said = done("notebooks", "01_generate", f"OUTPUTS_DIR={tmp_path}", "RUN=bad", "SEEDS_CSV=no such file.csv", "PROVIDER=local")
    assert said.returncode == 1
    assert "SeedFileError" in said.stderr and "no such file.csv" in said.stderr
    assert "Traceback" not in said.stderr + said.stdout
    [copy] = (tmp_path / "bad" / "notebooks").iterdir()
    assert copy.name == "01_generate.failed.ipynb"
    outputs = [output for cell in nbformat.read(copy, 4).cells for output in cell.get("outputs", [])]
    shown = next(output for output in outputs if output.output_type == "error")
    assert len(shown.traceback) == 1


def test_a_killed_kernel_is_one_clear_line_and_the_next_run_goes_on(tmp_path: Path, provider: Provider) -> None:
    provider.settings.latency_s = 0.05
    words = ("notebooks", "01_generate", f"OUTPUTS_DIR={tmp_path}", "RUN=k", "NUM_SEEDS=12", "MAX_CONCURRENCY=2")
    running = subprocess.Popen(command(*words), cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while provider.calls < 10 and running.poll() is None:
        time.sleep(0.01)
    [kernel] = [child for child in psutil.Process(running.pid).children() if "ipykernel_launcher" in " ".join(child.cmdline())]
    kernel.kill()
    _, said = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "The kernel died" in said and "Traceback" not in said
    provider.settings.latency_s = 0
    again = done(*words)
    assert "24 of 24 samples made" in again.stdout and "replies reused" in again.stdout
    assert provider.stats()["repeated"] <= 2


def test_a_misspelt_parameter_is_an_error_in_plain_papermill_too(tmp_path: Path) -> None:
    notebook, copy = "notebooks/03_analyze.ipynb", str(tmp_path / "out.ipynb")
    words = [sys.executable, "-m", "papermill", "-k", "python3", notebook, copy, "-p", "rnu", "x"]
    said = subprocess.run(words, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert said.returncode != 0
    assert "`rnu` is not a parameter. Did you mean `run`?" in said.stderr


# ── the embedded model ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_embedded_model_makes_and_judges_a_sample_and_says_what_it_is(settings: Settings) -> None:
    settings = settings.model_copy(update={"num_seeds": 1, "samples_per_seed": 1, "min_call_success": 1.0, "planted_share": 0.0})
    made, judged = make_run(settings)
    found, run = count(settings), Run(settings)
    assert (made.done, found["total_samples"], made.cost_usd) == (1, 1, 0.0)
    assert (made.asked, judged.asked) == (2, 1), "no answer was invalid or cut"
    [sample] = read_jsonl(run.generated, Sample, made_by="")
    assert len(sample.metadata.rubrics) == 6, "as few as are allowed"
    for file in (run.generated, run.evaluations):
        assert "Not to be trained on" in json.loads(file.read_text())["metadata" if file == run.generated else "notice"].__str__()
    assert any("Not to be trained on" in warning for warning in found["warnings"])
    assert validate_file(run.finetune, few_is="warning").errors == 0
