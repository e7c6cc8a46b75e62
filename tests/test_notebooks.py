"""The four notebooks, headless through papermill in real kernels: against the loopback provider, and once with the embedded model."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil  # comes with ipykernel
import pytest
import yaml

from lib.analyze.people import write_sheet
from lib.generate.plan import Topics
from lib.generate.seeds import SeedFile
from lib.run.run import Run
from lib.settings import PROJECT_ROOT, Settings
from lib.validate.check import validate_file
from tests.build import count, gate, generate, judge, keep
from tests.provider import Provider

NOTEBOOKS = ("01_generate", "02_filter", "03_analyze", "04_validate")
KEY = "sk-ant-a-secret-for-this-test"


def headless(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lib.commands", "notebooks", *words], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str], list[subprocess.CompletedProcess[str]]]]:
    """A run of all four notebooks, its parameters, and what each of them printed."""
    folder = tmp_path_factory.mktemp("out puts")
    pairs = [f"OUTPUTS_DIR={folder}", "RUN=nb"]
    with Provider() as provider, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_BASE_URL", provider.url)
        patch.setenv("ANTHROPIC_API_KEY", KEY)
        yield folder / "nb", pairs, [headless(name, *pairs) for name in NOTEBOOKS]


def test_all_four_run_and_leave_their_executed_copies(run_folder: tuple[Path, list[str], list[subprocess.CompletedProcess[str]]]) -> None:
    run, _, done = run_folder
    assert [process.returncode for process in done] == [0, 0, 0, 0], [process.stderr for process in done]
    assert sorted(path.stem for path in (run / "notebooks").iterdir()) == list(NOTEBOOKS)
    assert {path.name for path in (run / "figures").iterdir()} >= {"keep_rate_by_subject.png", "keep_rate_by_cell.png", "scores.png"}


def test_they_end_in_a_training_file_without_errors(run_folder: tuple[Path, list[str], list[subprocess.CompletedProcess[str]]]) -> None:
    run, _, _ = run_folder
    report = json.loads((run / "validation_report.json").read_text())
    found = json.loads((run / "filtering_statistics.json").read_text())
    assert report["errors"] == 0
    assert report["examples"] == found["kept_samples"] > 0


def test_the_summary_says_what_was_made_kept_dropped_failed_and_paid(
    run_folder: tuple[Path, list[str], list[subprocess.CompletedProcess[str]]],
) -> None:
    _, pairs, _ = run_folder
    said = subprocess.run(
        [sys.executable, "-m", "lib.commands", "summary", *pairs], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "4 planned = 4 made + 0 failed" in said
    assert "4 made = " in said and " dropped + 0 unjudged" in said
    assert "planted failures caught: " in said and "too few to tell" in said
    assert "cost $0." in said
    assert "tutoring_finetune_openai.jsonl" in said


def test_the_key_is_in_no_executed_notebook(run_folder: tuple[Path, list[str], list[subprocess.CompletedProcess[str]]]) -> None:
    run, _, done = run_folder
    assert all(KEY not in process.stdout + process.stderr for process in done)
    assert all(KEY.encode() not in path.read_bytes() for path in run.rglob("*") if path.is_file())


def test_a_run_is_topped_up_and_peoples_labels_are_read_by_the_same_notebooks(
    run_folder: tuple[Path, list[str], list[subprocess.CompletedProcess[str]]], provider: Provider
) -> None:
    run, _, _ = run_folder
    shutil.copytree(run, run.with_name("topped_up"))
    values = {"OUTPUTS_DIR": run.parent, "RUN": "topped_up", "TOP_UP": "true", "TARGET_KEPT": 6, "REVIEW_CSV": run.parent / "labels.csv"}
    settings = Settings.of(outputs_dir=str(run.parent), run="topped_up")
    sheet = write_sheet(Run(settings)).read_text("utf-8")
    (run.parent / "labels.csv").write_text(sheet.replace('"",""\n', '"yes",""\n'), "utf-8")
    done = headless("02_filter", "03_analyze", "04_validate", *(f"{name}={value}" for name, value in values.items()))
    assert done.returncode == 0, done.stderr
    assert "now, 6 wanted" in done.stdout and "the target is reached" in done.stdout
    assert "people and judge agree on criteria:" in done.stdout
    said = subprocess.run(
        [sys.executable, "-m", "lib.commands", "summary", f"OUTPUTS_DIR={run.parent}", "RUN=topped_up"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "topped up: " in said and "6 kept" in said


def test_a_run_is_made_again_from_its_manifest_twice_at_the_same_time(provider: Provider, tmp_path: Path) -> None:
    """Given the same replies all three have the same files, although two of them ran side by side."""
    place = f"OUTPUTS_DIR={tmp_path}"
    first = headless(*NOTEBOOKS[:2], place, "RUN=first", "NUM_SEEDS=1", "RANDOM_SEED=3", "CRITICAL_PASS_THRESHOLD=0.5")
    assert first.returncode == 0, first.stderr
    command = [sys.executable, "-m", "lib.commands", "rerun", str(tmp_path / "first"), place]
    both = [subprocess.Popen([*command, *more], cwd=PROJECT_ROOT, stdout=subprocess.PIPE, text=True) for more in ([], ["RUN=other"])]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert all("has changed since" not in text for text in said)
    for name in ("tutoring_samples_generated.jsonl", "evaluations.jsonl", "tutoring_finetune_openai.jsonl", "params.yaml"):
        contents = {(tmp_path / run / name).read_bytes() for run in ("first", "first_again", "other")}
        assert len(contents) == 1, name
    settings = json.loads((tmp_path / "other" / "manifest.json").read_text())["judging"]["settings"]
    assert (settings["run"], settings["random_seed"], settings["critical_pass_threshold"]) == ("other", 3, 0.5)


def test_the_parameter_file_of_a_run_is_what_papermill_takes(
    run_folder: tuple[Path, list[str], list[subprocess.CompletedProcess[str]]], tmp_path: Path
) -> None:
    run, _, _ = run_folder
    values = yaml.safe_load((run / "params.yaml").read_text("utf-8"))
    assert Settings.of(**values) == Settings.of()
    assert "run" not in values and "outputs_dir" not in values


def test_a_folder_without_a_run_cannot_be_made_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lib.commands", "rerun", str(tmp_path)], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "There is no finished run in" in done.stderr and "Traceback" not in done.stderr


def test_progress_is_written_line_by_line_when_nobody_watches(
    run_folder: tuple[Path, list[str], list[subprocess.CompletedProcess[str]]],
) -> None:
    _, _, done = run_folder
    assert "4/4 samples (100 %)" in done[0].stdout
    assert "\r" not in done[0].stdout


def test_a_users_mistake_is_one_clear_line_and_a_failed_copy(tmp_path: Path) -> None:
    done = headless("01_generate", f"OUTPUTS_DIR={tmp_path}", "RUN=bad", "SEEDS_CSV=no such file.csv", "PROVIDER=local")
    assert done.returncode == 1
    assert "SeedFileError" in done.stderr and "no such file.csv" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert [path.name for path in (tmp_path / "bad" / "notebooks").iterdir()] == ["01_generate.failed.ipynb"]
    outputs = [
        output
        for cell in nbformat.read(tmp_path / "bad" / "notebooks" / "01_generate.failed.ipynb", 4).cells
        for output in cell.get("outputs", [])
    ]
    shown = next(output for output in outputs if output.output_type == "error")
    assert len(shown.traceback) == 1


def test_a_killed_kernel_is_one_clear_line_and_the_next_run_goes_on(tmp_path: Path, provider: Provider) -> None:
    provider.settings.latency_s = 0.05
    command = [
        sys.executable,
        "-m",
        "lib.commands",
        "notebooks",
        "01_generate",
        f"OUTPUTS_DIR={tmp_path}",
        "RUN=k",
        "NUM_SEEDS=12",
        "MAX_CONCURRENCY=2",
    ]
    running = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while provider.calls < 10 and running.poll() is None:
        time.sleep(0.01)
    [kernel] = [child for child in psutil.Process(running.pid).children() if "ipykernel_launcher" in " ".join(child.cmdline())]
    kernel.kill()
    _, said = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "The kernel died" in said and "Traceback" not in said
    provider.settings.latency_s = 0
    again = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    assert "24 of 24 samples made" in again.stdout and "replies reused" in again.stdout
    assert provider.stats()["repeated"] <= 2


def test_a_misspelt_parameter_is_an_error_in_plain_papermill_too(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "papermill",
        "-k",
        "python3",
        "notebooks/03_analyze.ipynb",
        str(tmp_path / "out.ipynb"),
        "-p",
        "rnu",
        "x",
    ]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "`rnu` is not a parameter. Did you mean `run`?" in done.stderr


def test_filtering_before_generating_names_the_notebook_to_run(tmp_path: Path) -> None:
    done = headless("02_filter", f"OUTPUTS_DIR={tmp_path}", "RUN=new")
    assert done.returncode == 1
    assert "run 01_generate with the same RUN first" in done.stderr


def test_the_embedded_model_makes_and_judges_a_sample_and_says_what_it_is(settings: Settings, seed_file: SeedFile, topics: Topics) -> None:
    settings = settings.model_copy(update={"num_seeds": 1, "samples_per_seed": 1, "min_call_success": 1.0, "planted_share": 0.0})
    made = generate(settings)
    gate(settings)
    judge(settings)
    keep(settings)
    found = count(settings)
    assert (made.done, found["total_samples"], made.cost_usd) == (1, 1, 0.0)
    run = Run(settings)
    for file in (run.generated, run.evaluations):
        assert "Not to be trained on" in json.loads(file.read_text())["metadata" if file == run.generated else "notice"].__str__()
    assert any("Not to be trained on" in warning for warning in found["warnings"])
    assert validate_file(run.finetune, few_is="warning").errors == 0
