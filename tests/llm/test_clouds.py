"""Bedrock, Vertex and Foundry: the SDK's own clients, signing included, against their paths on a loopback."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lib.generate.seeds import SeedFile
from lib.generate.topics import Topics
from lib.llm import clients
from lib.llm.call import ProviderError
from lib.llm.tally import Tally
from lib.run.manifest import read_manifest
from lib.run.run import Run
from lib.settings import Settings
from tests.build import generate, make_run
from tests.clouds import AWS_KEY, AWS_REGION, AWS_SECRET, FOUNDRY_KEY
from tests.provider import Provider

IDS = {"bedrock": "us.anthropic.claude-opus-5-5-20260901-v1:0", "vertex": "claude-opus-5-5@20260901", "foundry": "claude-opus-5-5"}
Cloud = Callable[[str], Settings]


@cache
def private_key() -> str:
    """Return a key with which Google's library signs its request for a token."""
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return rsa.generate_private_key(65_537, 2_048).private_bytes(*pem).decode()


@pytest.fixture
def cloud(provider: Provider, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cloud:
    """Return the settings and set the variables of a cloud whose paths the loopback provider answers."""
    google = tmp_path / "google.json"
    account = {"type": "service_account", "client_email": "kit@p.test", "project_id": "p", "private_key": private_key()}
    google.write_text(json.dumps(account | {"token_uri": f"{provider.url}/token"}))
    variables = {
        "bedrock": {"AWS_ACCESS_KEY_ID": AWS_KEY, "AWS_SECRET_ACCESS_KEY": AWS_SECRET, "AWS_REGION": AWS_REGION},
        "vertex": {
            "CLOUD_ML_REGION": "us-east5",
            "ANTHROPIC_VERTEX_PROJECT_ID": "p",
            "GOOGLE_APPLICATION_CREDENTIALS": str(google),
        },
        "foundry": {"ANTHROPIC_FOUNDRY_API_KEY": FOUNDRY_KEY},
    }

    def chosen(house: str) -> Settings:
        for name, value in variables[house].items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv(f"ANTHROPIC_{house.upper()}_BASE_URL", provider.url + ("/foundry" if house == "foundry" else ""))
        models = dict.fromkeys(("model", "judge_model", "verifier_model"), IDS[house])
        return settings.model_copy(update=models | {"provider": house})

    return chosen


@pytest.fixture
def made(seed_file: SeedFile, topics: Topics) -> Callable[[Settings], Tally]:
    return lambda settings: generate(settings, seed_file, topics)


@pytest.mark.parametrize("house", IDS)
def test_a_run_goes_through_at_the_listed_price(house: str, cloud: Cloud) -> None:
    there = cloud(house)
    made, judged = make_run(there)
    assert (made.done, judged.done) == (6, 6)
    assert judged.cost_usd > 0
    assert read_manifest(Run(there)).generation.provider == house


@pytest.mark.parametrize(
    ("house", "variable", "message"),
    [
        ("bedrock", "AWS_REGION", "needs AWS_REGION"),
        ("bedrock", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
        ("vertex", "CLOUD_ML_REGION", "needs CLOUD_ML_REGION"),
        ("vertex", "ANTHROPIC_VERTEX_PROJECT_ID", "needs ANTHROPIC_VERTEX_PROJECT_ID"),
        ("vertex", "GOOGLE_APPLICATION_CREDENTIALS", r"PROVIDER=vertex: .*gcloud auth application-default login"),
        ("foundry", "ANTHROPIC_FOUNDRY_API_KEY", "needs ANTHROPIC_FOUNDRY_API_KEY"),
        ("foundry", "ANTHROPIC_FOUNDRY_BASE_URL", "needs ANTHROPIC_FOUNDRY_RESOURCE"),
    ],
)
def test_a_missing_variable_is_one_line_that_names_it(
    house: str, variable: str, message: str, cloud: Cloud, made: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = cloud(house)
    monkeypatch.setenv(variable, "")
    with pytest.raises(ProviderError, match=message):
        made(there)


@pytest.mark.parametrize(("house", "package"), [("bedrock", "boto3"), ("vertex", "google-auth")])
def test_a_missing_package_is_one_line_that_installs_it(
    house: str, package: str, cloud: Cloud, made: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_is_installed", lambda _: False)
    with pytest.raises(ProviderError, match=f"needs the package {package}: .*pip install"):
        made(cloud(house))


@pytest.mark.parametrize(("house", "variable"), [("bedrock", "AWS_SECRET_ACCESS_KEY"), ("foundry", "ANTHROPIC_FOUNDRY_API_KEY")])
def test_a_wrong_key_is_one_line_and_is_not_shown(
    house: str, variable: str, cloud: Cloud, made: Callable[[Settings], Tally], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = cloud(house)
    monkeypatch.setenv(variable, "wrong-secret")
    with pytest.raises(ProviderError, match=r"40[13]") as problem:
        made(there)
    assert "wrong-secret" not in str(problem.value)


@pytest.mark.parametrize("house", IDS)
def test_a_cloud_has_no_batches(house: str, cloud: Cloud, made: Callable[[Settings], Tally]) -> None:
    with pytest.raises(ProviderError, match=r"has no batches\. Set MODE=live"):
        made(cloud(house).model_copy(update={"mode": "batch"}))
