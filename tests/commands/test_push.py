"""A data set is published only when its card and every file are in order, and what would go is seen before anything is sent."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest

from lib.commands.__main__ import main
from lib.run.run import Run
from lib.settings import PROJECT_ROOT, Settings
from tests.build import copy_run


@pytest.fixture
def published(usual: Settings, settings: Settings) -> Settings:
    """A run that has been through all notebooks, with the licence of its seeds filled in."""
    copied = copy_run(usual, to=settings)
    card = Run(copied).dataset / "README.md"
    card.write_text(card.read_text("utf-8").replace("**Fill in its licence**", "Public domain"), "utf-8")
    return copied


def words(settings: Settings) -> list[str]:
    return ["push", f"OUTPUTS_DIR={settings.outputs_dir}", f"RUN={settings.run}"]


def test_without_a_repository_the_files_that_would_go_are_listed_and_nothing_is_sent(
    published: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    (Run(published).dataset / "mine.txt").write_text("private")
    assert main(words(published)) == 0
    said = capsys.readouterr().out
    assert "README.md" in said and "train.jsonl" in said and "data/train.parquet" in said
    assert "mine.txt" not in said and "Nothing was sent" in said


@dataclass
class Hub:
    """Stands in for huggingface_hub's HfApi. It has one data set, and notes what is uploaded to it."""

    private: bool
    uploads: list[dict[str, Any]] = field(default_factory=list)

    def create_repo(self, repo: str, **asked: Any) -> None:
        assert asked == {"repo_type": "dataset", "private": True, "exist_ok": True}

    def dataset_info(self, repo: str) -> "Hub":
        return self

    def upload_folder(self, **asked: Any) -> None:
        self.uploads.append(asked)


def test_the_checked_files_go_to_a_private_data_set_and_those_of_an_earlier_time_go_away(
    published: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = Hub(private=True)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    (Run(published).dataset / "mine.txt").write_text("private")
    assert main([*words(published), "--repo", "me/tutoring"]) == 0
    (sent,) = hub.uploads
    assert sent["repo_id"] == "me/tutoring" and sent["folder_path"] == Run(published).dataset
    assert "train.jsonl" in sent["allow_patterns"] and "mine.txt" not in sent["allow_patterns"]
    assert "preferences.jsonl" in sent["delete_patterns"] and "preferences.jsonl" not in sent["allow_patterns"]
    assert "https://huggingface.co/datasets/me/tutoring, which only you can see" in capsys.readouterr().out


def test_nothing_is_sent_to_a_data_set_that_is_public_already(
    published: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = Hub(private=False)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: hub)
    assert main([*words(published), "--repo", "me/tutoring"]) == 1
    assert not hub.uploads
    assert "me/tutoring is public" in capsys.readouterr().err


def test_a_file_with_an_error_is_not_sent(published: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    path = Run(published).dataset / "train.jsonl"
    path.write_bytes(path.read_bytes() + b"{}\n")
    assert main(words(published)) == 1
    assert "train.jsonl is not valid" in capsys.readouterr().err


def test_the_licence_of_seeds_of_ones_own_must_be_filled_in_first(
    usual: Settings, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tests' seeds are a part of the kit's, so their file is not the kit's own."""
    assert main(words(copy_run(usual, to=settings))) == 1
    assert "fill in the licence of your seeds first" in capsys.readouterr().err


def test_a_hub_that_can_not_be_reached_is_one_line(published: Settings) -> None:
    environment = os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_x", "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-m", "lib.commands", *words(published), "--repo", "me/tutoring"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The Hub did not take it (") and "Traceback" not in done.stderr
