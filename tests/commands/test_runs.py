"""Which run a command or a notebook opens, with which settings; and JupyterLab in a checkout."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from lib.commands import lab
from lib.commands.__main__ import main
from lib.commands.rerun import again
from lib.run.files import RunError
from lib.run.manifest import update_manifest
from lib.run.run import Run, open_run
from lib.run.runs import last_run, with_run
from lib.settings import PROJECT_ROOT, Settings


def made(folder: Path, name: str, *, finished: str, **settings: Any) -> Run:
    """Write the manifest that a run of this name leaves after notebook 01."""
    run = Run(Settings.of(run=name, outputs_dir=str(folder), **settings))
    counts, line = {"total": 4, "done": 4, "failed": 0}, {"stage": "gold", "model": "writer-1", "calls": 4, "cost_usd": 0.25}
    values = {"settings": run.settings.model_dump(mode="json"), "counts": counts, "finished": finished, "ledger": [line]}
    update_manifest(run, "generation", values=values)
    return run


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Runs `b`, of Monday, and `a`, of Tuesday, with settings of its own."""
    made(tmp_path, "b", finished="2026-11-23T10:00:00+00:00")
    made(tmp_path, "a", finished="2026-11-24T10:00:00+00:00", budget_usd=40, judge_model="a-judge", top_up=True)
    return tmp_path


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_where_no_run_is_named_it_is_the_last_one_made(two: Path) -> None:
    assert last_run(str(two)) == "a"
    assert with_run([f"OUTPUTS_DIR={two}"]) == [f"OUTPUTS_DIR={two}", "run=a"]
    assert with_run(["RUN=b", f"OUTPUTS_DIR={two}"]) == ["RUN=b", f"OUTPUTS_DIR={two}"]
    assert open_run({"run": "", "outputs_dir": str(two)}, after="01_generate").settings.run == "a"


def test_where_there_is_no_run_at_all_one_line_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"There is no run in .* yet\. To make one: make run"):
        last_run(str(tmp_path))


@pytest.mark.parametrize("name", ["a_backup", "a copy", "b (1)"])
def test_a_copy_of_a_run_is_not_the_last_one(two: Path, name: str) -> None:
    shutil.copytree(two / "a", two / name)
    assert last_run(str(two)) == "a"


def test_topping_up_costs_money_so_it_takes_no_run_by_itself(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topup", f"OUTPUTS_DIR={two}"]) == 1
    assert "say which run: make topup RUN=<name>. Runs in" in capsys.readouterr().err


def test_a_run_with_a_damaged_manifest_is_not_the_last_one(two: Path) -> None:
    (two / "a" / "manifest.json").write_text("{")
    assert last_run(str(two)) == "b"


def test_the_runs_are_listed_with_samples_cost_and_models_the_last_one_first(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", f"OUTPUTS_DIR={two}"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["run", "made", "samples", "kept", "cost", "written", "by", "judged", "by"]
    assert first.split() == ["a", "2026-11-24", "10:00", "4", "not", "filtered", "$0.25", "writer-1", "–"]
    assert second.startswith("b ")


# ── its settings ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_notebook_after_the_first_has_the_settings_of_the_run(two: Path) -> None:
    settings = open_run({"run": "a", "outputs_dir": str(two)}, after="01_generate").settings
    assert (settings.budget_usd, settings.judge_model) == (40, "a-judge")


def test_what_is_done_only_once_is_not_taken_from_the_run(two: Path) -> None:
    """Nor is it done again by make rerun."""
    made(two, "z", finished="2026-11-25", replace=True, edited_prompt="gold", top_up=True)
    for settings in (open_run({"run": "z", "outputs_dir": str(two)}, after="01_generate").settings, again(two / "z", [])):
        assert (settings.replace, settings.edited_prompt, settings.top_up) == (False, "", False)


def test_what_notebook_1_was_last_run_with_is_what_notebook_2_judges_with(two: Path) -> None:
    run = Run(Settings.of(run="a", outputs_dir=str(two)))
    judged = {
        "settings": run.settings.model_dump(mode="json") | {"judge_model": "an-earlier-judge"},
        "finished": "2026-11-24T11:00:00+00:00",
    }
    update_manifest(run, "judging", values=judged)
    assert open_run({"run": "a", "outputs_dir": str(two)}, after="01_generate").settings.judge_model == "an-earlier-judge"
    made(two, "a", finished="2026-11-25T10:00:00+00:00", budget_usd=40, judge_model="a-later-judge")
    assert open_run({"run": "a", "outputs_dir": str(two)}, after="01_generate").settings.judge_model == "a-later-judge"


def test_a_value_in_the_cell_changes_that_of_the_run(two: Path) -> None:
    settings = open_run({"run": "a", "outputs_dir": str(two), "budget_usd": 7.0}, after="01_generate").settings
    assert (settings.budget_usd, settings.judge_model) == (7, "a-judge")


def test_the_run_that_was_opened_is_shown_with_what_differs_from_the_defaults(two: Path) -> None:
    said = str(open_run({"run": "", "outputs_dir": str(two)}, after="01_generate"))
    assert said == f"{two / 'a'}: 4 samples made on 2026-11-24; settings: judge_model = a-judge, budget_usd = 40.0"


def test_the_cell_can_be_run_again(two: Path) -> None:
    run = open_run({"run": "b", "outputs_dir": str(two)}, after="01_generate")
    assert open_run({"run": run, "outputs_dir": str(two)}, after="01_generate").settings.run == "b"


def test_before_notebook_01_the_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="run 01_generate with the same RUN first"):
        open_run({"run": "a", "outputs_dir": str(tmp_path)}, after="01_generate")


# ── JupyterLab ───────────────────────────────────────────────────────────────────────────────────────────────────────


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_a_notebook_that_was_only_run_is_no_changed_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notebooks").mkdir()
    notebook = tmp_path / "notebooks" / "01_generate.ipynb"
    for name in ("notebooks/01_generate.ipynb", ".gitattributes"):
        shutil.copy(PROJECT_ROOT / name, tmp_path / name)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "as it came")
    monkeypatch.setattr(lab, "PROJECT_ROOT", tmp_path)
    lab.keep_outputs_out_of_git()
    cells = nbformat.read(notebook, 4)
    first = next(cell for cell in cells.cells if cell.cell_type == "code")
    first.outputs, first.execution_count = [nbformat.v4.new_output("stream", text="made")], 3
    cells.metadata.language_info |= {"version": "3.13.1", "codemirror_mode": {"name": "ipython", "version": 3}}  # as JupyterLab does
    nbformat.write(cells, notebook)
    assert "made" in notebook.read_text("utf-8")
    lab.after_saving(os_path=str(notebook))
    assert git(tmp_path, "status", "--porcelain") == ""
    first.source += "\nnum_sedes: int = 3"
    nbformat.write(cells, notebook)
    lab.after_saving(os_path=str(notebook))
    assert git(tmp_path, "status", "--porcelain") == " M notebooks/01_generate.ipynb\n"


def test_the_lab_opens_the_projects_folder_with_its_own_kernel_first(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []
    monkeypatch.setenv("JUPYTER_PATH", "/another")
    monkeypatch.setattr(lab, "keep_outputs_out_of_git", lambda: None)
    monkeypatch.setattr(lab.os, "chdir", lambda path: started.append([str(path)]))
    monkeypatch.setattr(lab.os, "execv", lambda _, words: started.append([*words, lab.os.environ["JUPYTER_PATH"]]))
    lab.main(["--no-browser --ip='0.0.0.0'"])
    [[folder], [_, *words, path]] = started
    assert folder == str(PROJECT_ROOT)
    assert words == ["-m", "jupyter", "lab", *lab.OPTIONS, "--no-browser", "--ip=0.0.0.0"]
    assert path == f"{sys.prefix}/share/jupyter:/another"


def test_options_that_can_not_be_read_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "--ip='0"]) == 1
    assert "OPTIONS can't be read" in capsys.readouterr().err
