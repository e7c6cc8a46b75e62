"""Settings and environment -> where each stage's calls are sent, under which id, at which price."""

import pytest

from lib.llm.addresses import SIGNS, Access, address, addresses, stages_asked, whom_it_asks
from lib.llm.budget import PriceError, price_of
from lib.llm.call import ProviderError
from lib.llm.names import family, plain_id
from lib.llm.provider import Provider, open_provider
from lib.settings import PROJECT_ROOT, Settings

Environment = pytest.MonkeyPatch
GATEWAY = "https://openrouter.ai/api/v1"


def writer(environment: Environment, *, model: str, provider: str = "auto", **variables: str) -> tuple[str, str]:
    """Return the house and the model's id there."""
    for name, value in variables.items():
        environment.setenv(name, value)
    found = address(Settings.of(model=model, provider=provider), "gold")
    return found.access.house, found.model


def opened(environment: Environment, house: str = "anthropic", *, judge: bool = False, **variables: str) -> Provider:
    for name, value in variables.items():
        environment.setenv(name, value)
    with open_provider(Access(house, "live", judge), model_names="MODEL") as provider:  # type: ignore[arg-type]
        return provider


# ── who answers when no house is named ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("variables", "house"),
    [
        ({}, "local"),
        ({"ANTHROPIC_API_KEY": "k"}, "anthropic"),
        ({"ANTHROPIC_AUTH_TOKEN": "t"}, "anthropic"),
        ({"ANTHROPIC_BASE_URL": "http://127.0.0.1:1"}, "anthropic"),
        ({"OPENAI_API_KEY": "k"}, "openai"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "openai"),
        ({"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"}, "anthropic"),
        ({"AWS_REGION": "eu-west-1"}, "local"),
    ],
)
def test_auto_takes_anthropic_before_openai_before_the_embedded_model(
    variables: dict[str, str], house: str, monkeypatch: Environment
) -> None:
    assert writer(monkeypatch, model="some-model", **variables) == (house, "some-model")


def test_provider_decides_where_it_is_set(monkeypatch: Environment) -> None:
    assert writer(monkeypatch, model="m", provider="openai", ANTHROPIC_API_KEY="k") == ("openai", "m")
    assert writer(monkeypatch, model="m", provider="local") == ("local", "m")


# ── prefixes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("house", [house for house in SIGNS if house != "local"])
def test_a_prefix_names_the_house_and_is_taken_off(house: str, monkeypatch: Environment) -> None:
    assert writer(monkeypatch, model=f"{house}/the-model", ANTHROPIC_API_KEY="k") == (house, "the-model")


def test_local_names_the_model_on_this_machine(monkeypatch: Environment) -> None:
    assert writer(monkeypatch, model="local", ANTHROPIC_API_KEY="k") == ("local", "local")


@pytest.mark.parametrize("model", ["Qwen/Qwen3-8B", "meta-llama/Llama-4-70B", "accounts/fireworks/models/kimi", "unknown/x"])
def test_slashes_of_an_id_stay_as_they_are(model: str, monkeypatch: Environment) -> None:
    assert writer(monkeypatch, model=model, OPENAI_BASE_URL=GATEWAY) == ("openai", model)


@pytest.mark.parametrize("model", ["openai/gpt-oss-20b", "anthropic/claude-sonnet-5-5", "bedrock/anthropic.claude-v1:0"])
@pytest.mark.parametrize("provider", ["auto", "openai"])
def test_on_a_gateway_what_looks_like_a_prefix_stays_part_of_the_id(model: str, provider: str, monkeypatch: Environment) -> None:
    assert writer(monkeypatch, model=model, provider=provider, OPENAI_BASE_URL=GATEWAY) == ("openai", model)


def test_on_a_gateway_another_house_is_still_reached_when_its_key_is_set(monkeypatch: Environment) -> None:
    variables = {"OPENAI_BASE_URL": GATEWAY, "ANTHROPIC_API_KEY": "k"}
    assert writer(monkeypatch, model="anthropic/claude-opus-5-5", **variables) == ("anthropic", "claude-opus-5-5")


def test_a_gateway_that_provider_names_gets_every_id_as_it_is_written(monkeypatch: Environment) -> None:
    variables = {"OPENAI_BASE_URL": GATEWAY, "ANTHROPIC_API_KEY": "k"}
    for model in ("anthropic/claude-opus-5-5", "openai/gpt-5.5", "openai/Qwen/Qwen3-8B"):
        assert writer(monkeypatch, model=model, provider="openai", **variables) == ("openai", model)


@pytest.mark.parametrize(("model", "there"), [("openai/Qwen/Qwen3-8B", "Qwen/Qwen3-8B"), ("openai/openai/gpt-5.5", "openai/gpt-5.5")])
def test_before_an_id_with_a_slash_of_its_own_the_prefix_is_taken_off(model: str, there: str, monkeypatch: Environment) -> None:
    assert writer(monkeypatch, model=model, OPENAI_BASE_URL=GATEWAY) == ("openai", there)


# ── the judge ────────────────────────────────────────────────────────────────────────────────────────────────────────


def judged_at(environment: Environment, **settings: str) -> Access:
    variables = {name: settings.pop(name) for name in list(settings) if name.isupper()}
    for name, value in variables.items():
        environment.setenv(name, value)
    return address(Settings.of(**settings), "judge").access


def test_the_judge_lives_where_the_writer_does_unless_something_says_otherwise(monkeypatch: Environment) -> None:
    assert judged_at(monkeypatch, ANTHROPIC_API_KEY="k") == Access("anthropic", "live")


@pytest.mark.parametrize(
    "settings", [{"judge_model": "openai/gpt-5.5"}, {"judge_model": "gpt-5.5", "judge_provider": "openai"}], ids=["prefix", "setting"]
)
def test_the_judge_may_live_in_another_house(settings: dict[str, str], monkeypatch: Environment) -> None:
    assert judged_at(monkeypatch, ANTHROPIC_API_KEY="k", OPENAI_API_KEY="o", **settings) == Access("openai", "live")


@pytest.mark.parametrize(("model", "house"), [("Qwen/Qwen3-32B", "openai"), ("claude-haiku-5-5", "anthropic")])
def test_with_a_base_url_of_its_own_the_judges_family_tells_how_it_is_asked(model: str, house: str, monkeypatch: Environment) -> None:
    found = judged_at(monkeypatch, ANTHROPIC_API_KEY="k", JUDGE_BASE_URL="http://127.0.0.1:9", judge_model=model)
    assert found == Access(house, "live", is_judges_own=True)  # type: ignore[arg-type]


def test_the_judge_may_have_a_mode_of_its_own(monkeypatch: Environment) -> None:
    assert judged_at(monkeypatch, ANTHROPIC_API_KEY="k", judge_mode="batch").mode == "batch"
    assert judged_at(monkeypatch, ANTHROPIC_API_KEY="k", mode="batch").mode == "batch"
    assert judged_at(monkeypatch, ANTHROPIC_API_KEY="k", mode="batch", judge_mode="live").mode == "live"


def test_a_judges_own_address_does_not_fit_a_cloud(monkeypatch: Environment) -> None:
    with pytest.raises(ProviderError, match="JUDGE_PROVIDER=anthropic or openai"):
        judged_at(monkeypatch, JUDGE_BASE_URL="http://127.0.0.1:9", judge_provider="bedrock")


def test_no_key_and_no_header_of_the_writer_is_sent_to_the_judges_own_address(monkeypatch: Environment) -> None:
    variables = {
        "ANTHROPIC_API_KEY": "writers",
        "ANTHROPIC_AUTH_TOKEN": "t",
        "ANTHROPIC_CUSTOM_HEADERS": "X-Team: a",
        "OPENAI_API_KEY": "o",
    }
    for house in ("anthropic", "openai"):
        provider = opened(monkeypatch, house, judge=True, JUDGE_BASE_URL="http://127.0.0.1:9", **variables)
        assert (provider.api_key, provider.auth_token) == ("none", "")
        assert set(provider.headers.values()) <= {None}


def test_a_default_model_is_not_asked_of_another_house_by_oversight(monkeypatch: Environment) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
    with pytest.raises(ProviderError, match=r"MODEL is still claude-opus-5-5, .* 127\.0\.0\.1:8000.*: MODEL=… VERIFIER_MODEL=… JUDGE"):
        address(Settings(), "gold")
    assert address(Settings(verify_scenarios=False), "verify").model == "claude-sonnet-5-5", "nobody asks it"
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.setenv("JUDGE_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(ProviderError, match=r"JUDGE_MODEL is still claude-sonnet-5-5, .*: JUDGE_MODEL=…, or write its house before it"):
        address(Settings(), "judge")


def test_a_panel_that_names_one_model_in_two_ways_is_refused(monkeypatch: Environment) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with pytest.raises(ProviderError, match=r"JUDGE_MODEL names gpt-x at api\.openai\.com twice"):
        addresses(Settings(judge_model="gpt-x,openai/gpt-x,gpt-y", judge_provider="openai"), "judge")


def test_it_is_said_whom_the_run_asks_and_where(monkeypatch: Environment) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    monkeypatch.setenv("JUDGE_BASE_URL", "http://127.0.0.1:9/v1")
    settings = Settings(judge_model="gpt-5.5")
    assert whom_it_asks(settings, stages_asked(settings)) == (
        "writer claude-opus-5-5, verifier claude-sonnet-5-5 at api.anthropic.com; judge gpt-5.5 at 127.0.0.1:9"
    )


def test_what_the_sdk_reads_by_itself_does_not_reach_the_judges_house(monkeypatch: Environment) -> None:
    """An Authorization among the custom headers would take the place of the judge's own key."""
    variables = {"OPENAI_CUSTOM_HEADERS": "Authorization: Bearer writers\nX-Team: a", "OPENAI_ORG_ID": "org", "OPENAI_PROJECT_ID": "p"}
    provider = opened(monkeypatch, "openai", judge=True, JUDGE_BASE_URL="http://127.0.0.1:9", JUDGE_API_KEY="judges", **variables)
    left_out = {"X-Team": None, "OpenAI-Organization": None, "OpenAI-Project": None}
    assert provider.headers == {"Authorization": "Bearer judges"} | left_out
    assert {"Bearer writers", "a", "org", "p"} <= set(provider.secrets)


# ── addresses as people write them ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/", "/v1/messages"])
def test_a_base_url_that_ends_in_what_the_sdk_adds_just_works(end: str, monkeypatch: Environment) -> None:
    assert opened(monkeypatch, ANTHROPIC_BASE_URL=f"http://127.0.0.1:4000{end}").base_url == "http://127.0.0.1:4000"


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1"),
        ("http://127.0.0.1:8000/v1/chat/completions", "http://127.0.0.1:8000/v1"),
        ("https://host/v1beta/openai/", "https://host/v1beta/openai"),
    ],
)
def test_an_openai_compatible_address_may_be_written_in_any_of_its_forms(written: str, used: str, monkeypatch: Environment) -> None:
    assert opened(monkeypatch, "openai", OPENAI_BASE_URL=written).base_url == used


def test_a_token_takes_the_place_of_the_key(monkeypatch: Environment) -> None:
    provider = opened(monkeypatch, ANTHROPIC_AUTH_TOKEN="ollama", ANTHROPIC_BASE_URL="http://127.0.0.1:11434")
    assert (provider.api_key, provider.auth_token, provider.key_names) == ("", "ollama", "ANTHROPIC_AUTH_TOKEN")


@pytest.mark.parametrize(("house", "name"), [("anthropic", "ANTHROPIC_API_KEY"), ("openai", "OPENAI_API_KEY")])
def test_without_a_key_the_error_names_the_houses_own(house: str, name: str, monkeypatch: Environment) -> None:
    with pytest.raises(ProviderError, match=f"No API key for MODEL: set {name}"):
        opened(monkeypatch, house)


def test_every_variable_that_is_read_stands_in_the_example() -> None:
    example = (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8")
    variables = {name for names in SIGNS.values() for name in names} | {"JUDGE_API_KEY", "JUDGE_BASE_URL", "LOCAL_MODEL"}
    sources = "".join(path.read_text(encoding="utf-8") for path in (PROJECT_ROOT / "lib" / "llm").glob("*.py"))
    variables |= {
        word for word in sources.replace('"', " ").split() if word.startswith(("AWS_", "ANTHROPIC_FOUNDRY_", "ANTHROPIC_VERTEX_"))
    }
    assert not {name.rstrip(",);") for name in variables if f"\n{name.rstrip(',);')}=" not in example}


# ── ids and prices ───────────────────────────────────────────────────────────────────────────────────────────────────

FORMS = [
    "claude-sonnet-5-5",
    "claude-sonnet-5-5-20261001",
    "anthropic/claude-sonnet-5-5",
    "openrouter/anthropic/claude-sonnet-5-5",
    "us.anthropic.claude-sonnet-5-5-20261001-v1:0",
    "anthropic.claude-sonnet-5-5-v1:0",
    "claude-sonnet-5-5@20261001",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-5-5-v1:0",
]


@pytest.mark.parametrize("form", FORMS)
def test_gateways_clouds_and_dates_do_not_hide_a_model(form: str) -> None:
    assert (plain_id(form), family(form)) == ("claude-sonnet-5-5", "anthropic")
    assert price_of(form) == price_of("claude-sonnet-5-5")


@pytest.mark.parametrize(
    ("model", "house"),
    [
        ("openai/gpt-oss-20b", "openai"),
        ("o3-mini", "openai"),
        ("gpt-5.5-2026-08-01", "openai"),
        ("Qwen/Qwen3-8B", "qwen"),
        ("qwen3:8b", "qwen"),
        ("models/gemini-3-pro", "google"),
        ("meta-llama/Llama-4-70B-Instruct", "meta"),
        ("mistral-large-latest", "mistral"),
        ("olmo-3", "olmo"),
    ],
)
def test_models_of_one_house_are_of_one_family(model: str, house: str) -> None:
    assert family(model) == house


def test_a_price_with_a_name_is_for_that_model_alone() -> None:
    named = "gpt-5.5=1/8, Qwen/Qwen3-8B=0/0"
    assert (price_of("gpt-5.5", named=named).input, price_of("gpt-5.5", named=named).output) == (1, 8)
    assert price_of("Qwen/Qwen3-8B", named=named).output == 0
    assert price_of("claude-opus-5-5", named=named) == price_of("claude-opus-5-5")
    with pytest.raises(PriceError, match="kimi=2/10"):
        price_of("kimi", named=named)


def test_a_price_without_a_name_leaves_listed_models_alone() -> None:
    assert price_of("claude-opus-5-5", named="9/9") == price_of("claude-opus-5-5")
    assert price_of("kimi", named="9/9").output == 9


def test_a_price_with_the_name_of_a_listed_model_comes_before_the_list() -> None:
    assert price_of("claude-opus-5-5", named="claude-opus-5-5=1/2").input == 1


def test_of_another_house_no_discount_for_cached_tokens_is_assumed() -> None:
    assert price_of("kimi", named="2/10").cache_read == 2
    assert price_of("claude-new", named="2/10").cache_read == pytest.approx(0.2)


@pytest.mark.parametrize("price", ["a=1/2,a=2/3", "a=1", "=", "a=1/2,,b=x/1"])
def test_prices_that_can_not_be_read_are_refused(price: str) -> None:
    with pytest.raises(Exception, match="price_usd_per_mtok"):
        Settings.of(price_usd_per_mtok=price)
