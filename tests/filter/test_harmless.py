"""Copies of a response that say the same in another form, and what is objected to those that do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.filter.harmless import laid_out_anew, says_the_same
from lib.prompts.answers import RewrittenAnswer
from lib.run.files import read_jsonl
from lib.run.manifest import read_manifest
from lib.run.run import Run
from lib.schema import Planted
from lib.settings import Settings
from tests.build import make_run
from tests.provider import Provider

TWO = "Sunk costs are gone. They stay gone.\n\nSo ask what the next hour costs you."
WORDS = " ".join(f"word{number}" for number in "abcdefghijklmnopqrstuvwx")


def objection(copy: str, *, to: str = WORDS, spoiling: str = "paraphrased") -> str:
    return says_the_same(to, spoiling)(RewrittenAnswer(response=copy))  # type: ignore[arg-type]


# ── layout ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_paragraphs_become_one() -> None:
    assert laid_out_anew(TWO) == "Sunk costs are gone. They stay gone. So ask what the next hour costs you."


def test_one_paragraph_becomes_one_a_sentence() -> None:
    assert laid_out_anew("It is gone. It stays gone.") == "It is gone.\n\nIt stays gone."


@pytest.mark.parametrize(
    "text", ["- one\n- two", "1. one\n2. two", "```\ncode\n```", "$$\nx\n$$", "| a | b |", "# Head\n\ntext", "\\[ x \\]"]
)
def test_where_the_layout_has_a_meaning_it_is_left(text: str) -> None:
    assert laid_out_anew(text) == ""


@given(st.lists(st.from_regex(r"[A-Z][a-z]{1,9}( [a-z]{1,9}){0,6}[.?!]", fullmatch=True), min_size=1, max_size=6))
def test_the_words_stay_the_same(sentences: list[str]) -> None:
    for text in (" ".join(sentences), "\n\n".join(sentences)):
        assert laid_out_anew(text).split() == text.split()


# ── what is rewritten ────────────────────────────────────────────────────────────────────────────────────────────────


def test_other_numbers_are_objected_to() -> None:
    assert objection("It costs 13 dollars now, or so they say.", to="They say that it costs 12 dollars now.").startswith(
        "the copy holds other numbers (13)"
    )


@pytest.mark.parametrize(("spoiling", "words"), [("paraphrased", 12), ("paraphrased", 40), ("longer", 24), ("longer", 48)])
def test_a_copy_of_another_length_than_was_wanted_is_objected_to(spoiling: str, words: int) -> None:
    assert "were wanted" in objection("other " * words, spoiling=spoiling)


def test_a_paraphrase_that_copies_is_objected_to() -> None:
    assert objection(WORDS) == "most of the copy stands in the reply word by word"


@pytest.mark.parametrize(("spoiling", "words"), [("paraphrased", 24), ("longer", 32)])
def test_nothing_is_objected_to_a_copy_as_it_was_asked_for(spoiling: str, words: int) -> None:
    assert objection("other " * words, spoiling=spoiling) == ""


# ── in a run ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_harmless_and_subtle_copies_are_judged_apart_from_samples_and_counted_apart(provider: Provider, settings: Settings) -> None:
    made, judged = make_run(settings.model_copy(update={"planted_share": 0.5, "subtle_share": 0.5, "harmless_share": 0.5}))
    copies = list(read_jsonl(Run(settings).planted, Planted, made_by=""))
    assert (made.done, judged.done) == (6, 6)
    assert len(copies) == 6 and "6 of 6 copies that measure the judge" in str(judged)
    kinds = [copy.spoiling for copy in copies]
    assert read_manifest(Run(settings)).judging.planted == {"total": 3, "judged": 3, "failed": 0}, "harmless ones are not planted failures"
    assert sum(kind in ("half_met", "implicit_only", "near_topic", "small_error") for kind in kinds) == 1
    assert sum(kind in ("layout", "paraphrased", "longer") for kind in kinds) == 3
