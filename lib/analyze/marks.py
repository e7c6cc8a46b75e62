"""A sample -> the marks by which the variety of many is measured: how response and follow-up open and end, and what they hold."""

import re
from typing import Any

from lib.analyze.praise import praises
from lib.filter.similar import SENTENCE_END, closing, opening
from lib.generate.styles import CHECK_OF
from lib.schema import Sample

YOU = re.compile(r"^you(?:['’](?:ve|re)|r)\b", re.IGNORECASE)
AFTER_THE_END = "\"'”’)*_ \n"  # may stand behind the last punctuation mark
UNSURE = re.compile(
    r"\b(?:confus\w+|not (?:\w+ )?(?:sure|clear|certain|confident)|(?:less than|never) (?:\w+ )?(?:certain|sure|safe|confident)|unsure"
    r"|uncertain|unclear|hazy|insecure|stuck|puzzl\w+|baffl\w+|at a loss|beyond me|lost|losing (?:me|you|it|the)|no idea|dunno"
    r"|makes? no sense"
    r"|(?:don['’]?t|do not|can['’]?t|cannot|didn['’]?t|couldn['’]?t) (?:\w+ )?(?:get|see|understand|follow|know|tell|work out|picture|place"
    r"|reconcile|square|figure)|does ?n['’]?t (?:\w+ )?make sense|struggl\w+|what am i (?:missing|doing))\b",
    re.IGNORECASE,
)


def marks(sample: Sample) -> dict[str, Any]:
    """Return lengths in words, the first words of the first and the last sentence, and marks that are true or false.

    Whether the response opens and closes as it was assigned is None where a program can't tell.
    """
    response, about = sample.response, sample.metadata
    sentences = [sentence for sentence in SENTENCE_END.split(response.strip()) if sentence]
    return {
        "response_words": len(response.split()),
        "opening": opening(response),
        "closing": closing(response),
        "praise": praises(response),
        "you": YOU.match(response) is not None,
        "question": response.rstrip(AFTER_THE_END).endswith("?"),
        "em_dash": "—" in response,
        "opening_as_assigned": _made(about.style.opening, sentences[:1]),
        "closing_as_assigned": _made(about.style.closing, sentences[-1:]),
        "follow_up_words": len(about.follow_up.split()),
        "follow_up_question": "?" in about.follow_up,
        "follow_up_unsure": UNSURE.search(about.follow_up) is not None,
    }


def _made(move: str, sentence: list[str]) -> bool | None:
    """Return whether the sentence makes the move, or None where that can't be told."""
    return CHECK_OF[move](sentence[0]) if move in CHECK_OF and sentence else None
