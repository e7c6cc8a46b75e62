"""text -> tokens as o200k counts them (gpt-4o, gpt-4.1): exact and offline, or an estimate that says so.

Counted by the wheel `bpe-openai`, which has the vocabulary compiled in. It agrees with tiktoken and needs no cache directory,
stays linear on texts that overflow tiktoken's stack, and so is preferred. What it compiles in is not verified here but in the tests.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

CHARACTERS_PER_TOKEN = 4.7  # tutoring prose with LaTeX, measured with o200k; only for the estimate


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """`exact`: by the tokenizer itself, special tokens read as plain text."""

    count: Callable[[str], int]
    exact: bool


@cache
def o200k_counter() -> TokenCounter:
    """Return the exact counter, or the estimate when `bpe-openai` is missing or built otherwise. The first call takes about a second."""
    try:
        # the public class refuses texts from a million characters on
        from bpe_openai._bindings import tokenizer_for_encoding

        return TokenCounter(tokenizer_for_encoding("o200k_base").count, exact=True)
    except (ImportError, AttributeError, OSError):
        return TokenCounter(estimated_tokens, exact=False)


def estimated_tokens(text: str) -> int:
    return round(len(text) / CHARACTERS_PER_TOKEN)
