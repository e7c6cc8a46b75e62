"""A response -> the marks by which the variety of many is measured: how it opens and ends, and what it holds."""

import re
from typing import Any

from lib.filter.similar import closing, opening

PRAISE = re.compile(
    r"\b(?:great|good|excellent|wonderful|fantastic|thoughtful|insightful|amazing|nice|love|impressive|perfect|well done|smart|brilliant"
    r"|terrific|superb|awesome|sharp)\b",
    re.IGNORECASE,
)
YOU = re.compile(r"^you(?:['’](?:ve|re)|r)\b", re.IGNORECASE)
FIRST_SENTENCE = re.compile(r"^.+?[.!?](?=\s|$)", re.DOTALL)
AFTER_THE_END = "\"'”’)*_ \n"  # may stand behind the last punctuation mark


def marks(response: str) -> dict[str, Any]:
    """Return the number of words, the first words of the first and the last sentence, and four marks that are true or false."""
    first = FIRST_SENTENCE.match(response)
    return {
        "response_words": len(response.split()),
        "opening": opening(response),
        "closing": closing(response),
        "praise": PRAISE.search(first[0] if first else response) is not None,
        "you": YOU.match(response) is not None,
        "question": response.rstrip(AFTER_THE_END).endswith("?"),
        "em_dash": "—" in response,
    }
