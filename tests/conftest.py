"""What tests share: a loopback provider, a run in a temporary folder, and an environment without the user's own key."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lib.generate.plan import Topics
from lib.generate.seeds import SeedFile
from lib.settings import Settings
from tests.build import kit_seeds, kit_topics
from tests.provider import Provider


@pytest.fixture(autouse=True)
def no_key_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN", "LOCAL_MODEL"):
        monkeypatch.setenv(name, "")


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    with Provider() as running:
        point_to(running, monkeypatch)
        yield running


@pytest.fixture(scope="module")
def lasting_provider() -> Iterator[Provider]:
    """A provider for the runs that many tests of a module share: a copied run replays only from the port that answered it."""
    with Provider() as running, pytest.MonkeyPatch.context() as environment:
        point_to(running, environment)
        yield running


@pytest.fixture
def same_provider(lasting_provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """The lasting provider, of which nothing has been asked yet."""
    lasting_provider.reset()
    point_to(lasting_provider, monkeypatch)
    return lasting_provider


def point_to(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.of(run="t", outputs_dir=str(tmp_path / "out puts"), num_seeds=3, samples_per_seed=2, max_concurrency=4)


@pytest.fixture(scope="session")
def seed_file() -> SeedFile:
    return kit_seeds()


@pytest.fixture(scope="session")
def topics() -> Topics:
    return kit_topics()
