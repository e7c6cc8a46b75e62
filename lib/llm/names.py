"""A model's id, as a gateway, a cloud or a run of the kit writes it -> its plain id, and the family it belongs to.

Prices, and the warning that writer and judge are of one family, are looked up by these.
"""

import re

REGION = re.compile(r"^(?:us-gov|us|eu|apac|ap|jp|au|ca|global)\.")  # of a Bedrock inference profile
VENDOR = re.compile(r"^(?:anthropic|openai|meta|mistral|qwen|deepseek|google|amazon|cohere)\.")  # of a Bedrock model
AFTER_ID = re.compile(r"(?:@.*|:[a-z][\w.-]*|-v\d+:\d+)$")  # Vertex's date, OpenRouter's ":free", Bedrock's "-v1:0"
DATED = re.compile(r"-(?:\d{8}|\d{4}-\d{2}-\d{2})$")
FAMILIES = {  # how ids begin -> the family. A name that is not here is its own family.
    "anthropic": ("claude",),
    "openai": ("gpt", "chatgpt", "o1", "o3", "o4", "codex"),
    "google": ("gemini", "gemma"),
    "mistral": ("mistral", "mixtral", "ministral", "magistral", "codestral", "devstral"),
    "meta": ("llama", "meta-llama"),
    "qwen": ("qwen", "qwq"),
}


def plain_id(model: str) -> str:
    """Return "claude-sonnet-5-5" for `us.anthropic.claude-sonnet-5-5-20261001-v1:0`, and likewise for other forms of an id."""
    name = model.lower().rpartition("/")[2].removeprefix("ft:")
    name = VENDOR.sub("", REGION.sub("", name))
    while name != (shorter := DATED.sub("", AFTER_ID.sub("", name))):
        name = shorter
    return name


def family(model: str) -> str:
    """Return "anthropic" for any Claude, "openai" for any GPT, and so on, so that models of one house are known as such."""
    name = plain_id(model)
    for house, beginnings in FAMILIES.items():
        if any(re.match(rf"{begin}(?![a-z])", name) for begin in beginnings):
            return house
    return re.split(r"[^a-z]", name)[0] or name
