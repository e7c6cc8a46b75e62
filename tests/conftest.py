"""What tests share: a loopback provider, a run in a temporary folder, and an environment without the user's own key and certificates."""

import csv
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from lib.generate.seeds import SeedFile, read_seeds
from lib.generate.topics import Topics
from lib.llm.addresses import SIGNS
from lib.settings import PROJECT_ROOT, Settings
from tests.build import kit_topics, make_run, validate_run
from tests.provider import Provider

LONGEST = ("test_notebooks.py", "test_headless.py", "test_embedded.py", "test_bench.py")


def pytest_configure() -> None:
    """Leave out a package that jsonschema does without: with its grammar, nbformat takes a second longer to import."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None makes its import fail


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left alone with one of them at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def no_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The loopback needs none, and a client takes longer to load them than to make its calls."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("no certificates")))
        yield


@pytest.fixture(autouse=True)
def no_key_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOCAL_MODEL", "JUDGE_API_KEY", "JUDGE_BASE_URL", *(name for names in SIGNS.values() for name in names)):
        monkeypatch.delenv(name, raising=False)


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


@pytest.fixture
def cap_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget that the estimate takes to be enough, so that nothing but the cap itself stops the run."""
    monkeypatch.setattr("lib.generate.samples.require_affordable", lambda *_: None)


def point_to(provider: Provider, monkeypatch: pytest.MonkeyPatch, *, key: str = "test-key") -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", key)


@pytest.fixture
def settings(tmp_path: Path, seeds_csv: Path) -> Settings:
    return small_settings(tmp_path, seeds_csv)


def small_settings(folder: Path, seeds_csv: Path) -> Settings:
    """Return settings for six samples of two calls each. What asks for more calls is on in the tests that are about it."""
    where = {"run": "t", "outputs_dir": str(folder / "out puts"), "seeds_csv": str(seeds_csv)}
    return Settings.of(
        num_seeds=3,
        samples_per_seed=2,
        max_concurrency=4,
        verify_scenarios=False,
        second_vote=False,
        subtle_share=0,
        harmless_share=0,
        **where,
    )


@pytest.fixture(scope="module")
def usual(lasting_provider: Provider, seeds_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A run of the usual six samples that has been through all notebooks. It is there to be read or copied."""
    settings = small_settings(tmp_path_factory.mktemp("usual"), seeds_csv)
    make_run(settings)
    validate_run(settings)
    return settings


@pytest.fixture(scope="session")
def seeds_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kit's first 40 seeds: to read all 250 takes longer than to make a small run, and each gating reads them."""
    path = tmp_path_factory.mktemp("seeds") / "seeds.csv"
    with (PROJECT_ROOT / "data" / "seeds.csv").open(encoding="utf-8", newline="") as file:
        rows = list(islice(csv.reader(file), 1 + 40))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture(scope="session")
def seed_file(seeds_csv: Path) -> SeedFile:
    return read_seeds(seeds_csv)


@pytest.fixture(scope="session")
def topics() -> Topics:
    return kit_topics()
