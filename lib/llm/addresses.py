"""Settings and environment -> where the calls of each stage are sent, and under which id the model is known there.

A model's setting may begin with the name of its house, as in `openai/gpt-5.5`. Otherwise `provider` decides, or `judge_provider` for the
judge. An id may have slashes of its own. So only the name of a house is taken off, and on a gateway not even that where it may belong to
the id, as in `openai/gpt-oss-20b`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from lib.llm.call import ProviderError
from lib.llm.environment import host_of, variable
from lib.llm.names import family
from lib.prompts.rendering import Stage
from lib.settings import Settings

House = Literal["anthropic", "openai", "bedrock", "vertex", "foundry", "local"]
HOUSES: tuple[House, ...] = get_args(House)
OPENAI_HOST = "https://api.openai.com/v1"
SIGNS: dict[House, tuple[str, ...]] = {  # variables of which one is set when a house can be reached
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"),
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "bedrock": ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"),
    "vertex": ("CLOUD_ML_REGION",),
    "foundry": ("ANTHROPIC_FOUNDRY_API_KEY",),
    "local": (),
}
SETTINGS_OF: dict[Stage, tuple[str, str]] = {  # the names of the settings that hold a stage's model and its effort
    "scenario": ("model", "scenario_effort"),
    "verify": ("verifier_model", "verify_effort"),
    "misstate": ("model", "gold_effort"),
    "gold": ("model", "gold_effort"),
    "spoil": ("model", "gold_effort"),
    "repair": ("model", "gold_effort"),
    "judge": ("judge_model", "judge_effort"),
    "criterion": ("judge_model", "judge_effort"),
    "answer": ("candidates", "candidate_effort"),
}
MAKING: tuple[Stage, ...] = tuple(stage for stage in SETTINGS_OF if stage != "answer")  # the stages that make and judge samples
JUDGING: tuple[Stage, ...] = ("judge", "criterion")


@dataclass(frozen=True, slots=True)
class Access:
    """The house that answers, and with whose variables it is reached."""

    house: House
    mode: str
    is_judges_own: bool = False  # true when JUDGE_BASE_URL and JUDGE_API_KEY take the place of the house's own variables

    @property
    def is_local(self) -> bool:
        return self.house == "local"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a stage's calls are sent."""

    access: Access
    model: str

    @property
    def is_embedded(self) -> bool:
        """Whether the 135M model that comes with the kit answers, which can neither follow rules nor check anything."""
        return self.access.is_local and not variable("LOCAL_MODEL")


def address(settings: Settings, stage: Stage) -> Address:
    """Return where a stage's calls are sent, or those of the first judge of a panel. Raises as `addresses` does."""
    return addresses(settings, stage)[0]


def addresses(settings: Settings, stage: Stage) -> list[Address]:
    """Return where a stage's calls are sent, for each of its models. There are none for candidates where none is named.

    Raises ProviderError when the judge's house can't be told, and when a default model would be asked of another house by oversight.
    """
    models = getattr(settings, SETTINGS_OF[stage][0]).split(",")
    found = [_address(settings, stage, asked=model) for model in models if model]
    if len(set(found)) < len(found):
        twice = next(one for one in found if found.count(one) > 1)
        raise ProviderError(f"{SETTINGS_OF[stage][0].upper()} names {twice.model} at {host_at(twice.access)} twice. Name another model.")
    return found


def _address(settings: Settings, stage: Stage, *, asked: str) -> Address:
    is_judge = stage in JUDGING
    is_own = is_judge and bool(variable("JUDGE_BASE_URL") or variable("JUDGE_API_KEY")) and not _has_its_house(settings, asked)
    provider = (settings.judge_provider if is_judge else "") or ("auto" if is_own else settings.provider)
    usual = _usual_at_own_address(asked, provider) if is_own else _usual(provider)
    base_url = variable("JUDGE_BASE_URL" if is_own else "OPENAI_BASE_URL")
    house, model = _split(asked, usual=usual, is_named=provider != "auto", base_url=base_url)
    mode = (settings.judge_mode if is_judge else "") or settings.mode
    found = Address(Access(house, mode, is_own and house in ("anthropic", "openai")), model)
    _require_meant(found, settings, stage=stage)
    return found


def _has_its_house(settings: Settings, asked: str) -> bool:
    """Whether a judge of a panel names a house that has variables of its own, so that the judge's variables are not meant for it."""
    house, _, rest = asked.partition("/")
    return len(settings.judges) > 1 and bool(rest) and house in HOUSES and is_reachable(house)


def _require_meant(found: Address, settings: Settings, *, stage: Stage) -> None:
    """Raise ProviderError where a default model, which is a Claude, would be asked of another house by oversight."""
    name, url = SETTINGS_OF[stage][0], variable("JUDGE_BASE_URL" if found.access.is_judges_own else "OPENAI_BASE_URL")
    is_default = found.model == Settings.model_fields[name].default and (stage != "verify" or settings.verify_scenarios)
    if is_default and (found.access.house == "openai" or (found.access.is_judges_own and host_of(url) not in ("", "api.anthropic.com"))):
        raise ProviderError(
            f"{name.upper()} is still {found.model}, which would be asked of {host_of(url or OPENAI_HOST)}. Name a model of that endpoint: "
            f"{' '.join(f'{one.upper()}=…' for one in _names_there(settings, found))}, or write its house before it "
            f"(anthropic/{found.model})."
        )


def _names_there(settings: Settings, found: Address) -> list[str]:
    """Return the settings that name the models of this address's house."""
    return ["judge_model"] if found.access.is_judges_own else list(dict.fromkeys(SETTINGS_OF[stage][0] for stage in stages_asked(settings)))


def whom_it_asks(settings: Settings, stages: Sequence[Stage]) -> str:
    """Return which models are asked, what for and at which host, as one line."""
    what = {"scenario": "writer", "verify": "verifier", "judge": "judge", "answer": "candidate"}
    hosts: dict[str, list[str]] = {}
    for stage in stages:
        for found in addresses(settings, stage):
            hosts.setdefault(host_at(found.access), []).append(f"{what[stage]} {'' if found.access.is_local else found.model}".strip())
    return "; ".join(f"{', '.join(models)} at {host}" for host, models in hosts.items())


def host_at(access: Access) -> str:
    """Return the host of an endpoint, as far as the environment names it."""
    if access.house not in ("anthropic", "openai"):
        return "the model on this machine" if access.is_local else access.house
    owner = "JUDGE" if access.is_judges_own else access.house.upper()
    usual = "api.openai.com" if access.house == "openai" else "api.anthropic.com"
    return host_of(variable(f"{owner}_BASE_URL")) or usual


def stages_asked(settings: Settings) -> list[Stage]:
    """Return the stages whose models a run with these settings asks, one for each of its settings of models."""
    return ["scenario", "verify", "judge"] if settings.verify_scenarios else ["scenario", "judge"]


def is_reachable(house: House) -> bool:
    return any(variable(name) for name in SIGNS[house])


def _usual(provider: str) -> House:
    """Return the house of models without a prefix."""
    if provider != "auto":
        return provider  # type: ignore[return-value]  # the setting's type has the same names
    return next((house for house in ("anthropic", "openai") if is_reachable(house)), "local")


def _usual_at_own_address(asked: str, provider: str) -> House:
    """Return the house of a judge with an address or a key of its own."""
    if provider == "auto":
        return "anthropic" if family(asked) == "anthropic" and "api.openai" not in variable("JUDGE_BASE_URL") else "openai"
    if provider not in ("anthropic", "openai"):
        raise ProviderError("JUDGE_BASE_URL and JUDGE_API_KEY are for JUDGE_PROVIDER=anthropic or openai. Unset them, or change it.")
    return _usual(provider)


def _split(asked: str, *, usual: House, is_named: bool, base_url: str) -> tuple[House, str]:
    """Return the house and the id of the model there. `base_url` is that of the OpenAI-compatible endpoint.

    `usual` is the house of ids without a prefix. Where a setting has named it (`is_named`), a gateway gets every id as it is written.
    """
    first, _, rest = asked.partition("/")
    if asked == "local":
        return "local", asked
    if first not in HOUSES or not rest:
        return usual, asked
    is_gateway = usual == "openai" and host_of(base_url or OPENAI_HOST) != host_of(OPENAI_HOST)
    if is_gateway and (is_named or ("/" not in rest if first == "openai" else not is_reachable(first))):
        return usual, asked
    return first, rest
