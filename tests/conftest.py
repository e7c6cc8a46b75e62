"""What tests share: a loopback provider, a run in a temporary folder, and an environment without the user's own key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.generate.plan import Topics, read_topics
from lib.generate.seeds import SeedFile, read_seeds
from lib.settings import PROJECT_ROOT, Settings
from tests.provider import Provider


@pytest.fixture(autouse=True)
def no_key_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "LOCAL_MODEL"):
        monkeypatch.setenv(name, "")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with Provider() as running:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
        yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.of(run="t", outputs_dir=str(tmp_path / "out puts"), num_seeds=3, samples_per_seed=2, max_concurrency=4)


@pytest.fixture(scope="session")
def seed_file() -> SeedFile:
    return read_seeds(PROJECT_ROOT / "data" / "seeds.csv")


@pytest.fixture(scope="session")
def topics() -> Topics:
    return read_topics(PROJECT_ROOT / "data" / "topics.csv")
