"""What the value of a parameter may be, as annotated types, and the message in plain words when it is something else."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from fractions import Fraction
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BeforeValidator, StringConstraints
from pydantic.fields import FieldInfo

from lib.errors import CONTROL, LONE_SURROGATE, is_blank, plain

MOST_SAMPLES = 1_000_000
FEWEST_PLANTED = 16  # all caught, the catch rate is at least 81 % (Wilson); with fewer it can't be told from 80 %
MOST_SEED = 2**63 - 1
MOST_USD_PER_MTOK = 100_000.0
LONGEST_RUN_NAME = 100  # characters
LONGEST_TEXT = 1_000  # of a path, for instance
LONGEST_NAME = 200  # of a model or a subject
MOST_NAMES = 1_000
LONGEST_SHOWN = 120  # of a refused value


def _one_line(text: str) -> str:
    if CONTROL.search(text) or LONE_SURROGATE.search(text):
        raise ValueError("it holds a line break, or another character that can't be printed")
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"it has {len(text):,} characters, and at most {LONGEST_TEXT:,} are allowed")
    if text and is_blank(text):
        raise ValueError("it holds nothing but blanks")
    return text


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("it is empty")
    return text


def _model_name(text: str) -> str:
    if not text.isprintable() or any(character.isspace() for character in text):
        raise ValueError("write the model's name without blanks, line breaks and other characters that can't be printed")
    if not 1 <= len(text) <= LONGEST_NAME:
        raise ValueError(f"a model's name has 1 to {LONGEST_NAME} characters")
    return text


def _models(text: str) -> str:
    """Return the names of models with commas and no blanks between them."""
    names = [_model_name(name.lstrip() if number else name) for number, name in enumerate(text.split(","))]
    if len(set(names)) < len(names):
        raise ValueError("a model is named twice")
    return ",".join(names)


def _panel(text: str) -> str:
    names = _models(text)
    if (count := names.count(",") + 1) % 2 == 0:
        raise ValueError(f"name one judge, or a panel of three or another odd number, so that there is a majority; these are {count}")
    return names


def _names(value: Any) -> Any:
    """Let `subjects` be written "a, b" on a command line and ["a", "b"] in a notebook."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    if isinstance(value, list | tuple) and len(value) <= MOST_NAMES:
        return [name.strip() if isinstance(name, str) else name for name in value]
    return value


def _short_names(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(names) > MOST_NAMES:
        raise ValueError(f"there are {len(names):,} names, and at most {MOST_NAMES:,} are allowed")
    for name in names:
        _not_empty(_one_line(name))
        if len(name) > LONGEST_NAME:
            raise ValueError(f"{name[:20]}… has {len(name):,} characters, and at most {LONGEST_NAME} are allowed")
    return names


def prices(text: str) -> dict[str, tuple[float, float]]:
    """Return input and output price by model, US dollars a million tokens. "" is the model of a pair without a name.

    The text is "2/10", or "gpt-5.5=1/8, qwen3:8b=0/0", or both. Raises ValueError.
    """
    entries = [entry.strip().rpartition("=") for entry in text.split(",") if entry.strip()]
    found = {model.strip(): price_pair(pair) for model, _, pair in entries}
    if len(found) < len(entries):
        raise ValueError("a model has two prices")
    return found


def price_pair(text: str) -> tuple[float, float]:
    """Return input and output price of "input/output", US dollars a million tokens. Raises ValueError."""
    parts = text.split("/")
    try:
        pair = [float(part) for part in parts]
    except ValueError:
        pair = []
    if len(pair) != 2 or not all(math.isfinite(price) and 0 <= price <= MOST_USD_PER_MTOK for price in pair):
        raise ValueError(
            f"write 'input/output', two numbers from 0 to {MOST_USD_PER_MTOK:,.0f}, e.g. '2/10', or '0/0' if free; "
            "with several models, 'model=input/output' with commas between them"
        )
    return pair[0], pair[1]


def _price(text: str) -> str:
    prices(text)
    return text


RunName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_-])?$", max_length=LONGEST_RUN_NAME)]
Text = Annotated[str, AfterValidator(_one_line)]
PathText = Annotated[Text, AfterValidator(_not_empty)]
ModelName = Annotated[str, AfterValidator(_model_name)]
PanelNames = Annotated[str, AfterValidator(_panel)]
ModelNames = Annotated[str, AfterValidator(lambda text: _models(text) if text else text)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names), AfterValidator(_short_names)]
PriceText = Annotated[Text, AfterValidator(_price)]


def problem(entry: Any, fields: dict[str, FieldInfo]) -> str:
    """Return one line about one refused value: the parameter, the value, what it may be and what it means."""
    if not entry["loc"]:  # a rule about several parameters, which names them itself
        return str(entry["ctx"]["error"])
    name = str(entry["loc"][0])
    if entry["type"] == "extra_forbidden":
        return f"`{name}` is not a parameter."
    shown = plain(repr(entry["input"]), longest=LONGEST_SHOWN)
    objection = _objection(entry, fields[name])
    return f"`{name}` = {shown}: {objection}{'' if objection.endswith('?') else '.'} Meaning: {fields[name].description}."


def _objection(entry: Any, field: FieldInfo) -> str:
    if entry["type"] == "value_error":
        return str(entry["ctx"]["error"])
    if entry["type"] == "string_pattern_mismatch":
        return "use letters, digits, dots, dashes and underscores; begin with a letter or a digit, and don't end with a dot"
    if entry["type"] == "string_too_long":
        return f"use at most {entry['ctx']['max_length']} characters"
    return f"give {allowed(field)}"


def allowed(field: FieldInfo) -> str:
    """Return in words what the parameter may be, from its type and its bounds."""
    if get_origin(field.annotation) is Literal:
        *first, last = (str(value) or "nothing" for value in get_args(field.annotation))
        return f"{', '.join(first)} or {last}"
    if field.annotation is bool:
        return "true or false"
    if field.annotation is int:
        return f"a whole number {_range(field.metadata)}"
    if field.annotation is float:
        return f"a number {_range(field.metadata)}"
    return "a text" if field.annotation is str else "names with commas between them"


def _range(bounds: Iterable[Any]) -> str:
    words = []
    for bound in bounds:
        match bound:
            case Ge(ge=low):
                words.append(f"from {low:,}")
            case Gt(gt=low):
                words.append(f"above {low:,}")
            case Le(le=high):
                words.append(f"to {high:,}" if words and words[0].startswith("from") else f"up to {high:,}")
            case Lt(lt=high):
                words.append(f"below {high:,}")
    return " and ".join(words).replace(" and to ", " to ")


def planted_count(samples: int, share: float) -> int:
    """Return how many failures to plant. That is `share` of the samples, but at least 16 when there are as many samples."""
    count = math.ceil(share * samples)
    return max(FEWEST_PLANTED, count) if share and samples >= FEWEST_PLANTED else count


def planned(num_seeds: int, samples_per_seed: int, *, control_share: float) -> tuple[int, int]:
    """Return how many samples a plan has, and how many controls beyond them."""
    samples = num_seeds * samples_per_seed
    return samples, math.ceil(Fraction(str(control_share)) * samples)


def nearest(name: str, known: Iterable[str], *, cutoff: float) -> str:
    """Return the known name that is most like `name`, or "" when none is alike enough (`cutoff`, 0 to 1)."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=cutoff)), "")


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
