"""Tables -> how varied the responses are, before and after filtering.

distinct-n is the number of distinct n-grams of words ÷ all n-grams (Li et al. 2016, arXiv 1510.03055). It falls with the number of
texts, and so does the distance of the nearest neighbour. So sets are compared at equal size.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lib.analyze.tables import MOST_COMPARED, Tables

if TYPE_CHECKING:
    import pandas as pd

WORD = re.compile(r"\w+")


def variety_table(tables: Tables) -> "pd.DataFrame":
    """Return a row a measure, with its value over all samples made and over those kept."""
    import pandas as pd

    made, kept = tables.samples, tables.samples[tables.samples["kept"]]
    compared = min(MOST_COMPARED, len(kept) or MOST_COMPARED)
    columns = {name: _measures(table, tables.responses, compared=compared) for name, table in (("made", made), ("kept", kept))}
    return pd.DataFrame(
        [{"measure": name, "made": value, "kept": columns["kept"].get(name, "–")} for name, value in columns["made"].items()]
    )


def _measures(table: "pd.DataFrame", responses: dict[str, str], *, compared: int) -> dict[str, str]:
    """Return each measure as people read it. Those that depend on size are taken over `compared` responses, evenly spaced."""
    if not len(table):
        return {}
    held = [responses[name] for name in table["id"] if name in responses]
    step = len(held) / min(len(held), compared)
    some = [WORD.findall(held[int(place * step)].casefold()) for place in range(min(len(held), compared))]
    topics, shares = table["topic"].str.casefold().value_counts(), table[["praise", "you", "question", "em_dash"]].mean()
    low, middle, high = _percentiles(table["response_words"].tolist())
    shortest, usual, longest = _percentiles(table["follow_up_words"].tolist())
    asks = table[["follow_up_question", "follow_up_unsure"]].mean()
    return {
        "samples": f"{len(table):,}",
        f"distinct-1, distinct-2 (of {len(some):,} responses)": f"{_distinct(some, 1):.3f}, {_distinct(some, 2):.3f}",
        f"similarity to the nearest neighbour (of {len(some):,})": f"{_nearest(some):.2f}",
        "topics used": f"{len(topics):,} in {len(table):,} samples",
        "most frequent topic": "once" if topics.iloc[0] == 1 else f"{topics.iloc[0]} times",
        "different openings (3 words)": f"{table['opening'].nunique():,}",
        "most frequent opening": f"{table['opening'].value_counts().iloc[0] / len(table):.0%}",
        "most frequent closing": f"{table['closing'].value_counts().iloc[0] / len(table):.0%}",
        "opens with praise": f"{shares['praise']:.0%}",
        "opens with You've, You're, Your": f"{shares['you']:.0%}",
        "ends with a question": f"{shares['question']:.0%}",
        "holds an em dash": f"{shares['em_dash']:.0%}",
        "words, 10th to 90th percentile": f"{low} to {high}, median {middle}",
        "opens as assigned (where a program can tell)": _held(table["opening_as_assigned"]),
        "closes as assigned (where a program can tell)": _held(table["closing_as_assigned"]),
        "follow-up holds a question mark": f"{asks['follow_up_question']:.0%}",
        "follow-up says confused or not sure": f"{asks['follow_up_unsure']:.0%}",
        "words of the follow-up, 10th to 90th percentile": f"{shortest} to {longest}, median {usual}",
    }


def _held(column: "pd.Series[Any]") -> str:
    """Return the share that is true, of those where a program can tell."""
    known = column.dropna()
    return f"{known.astype(bool).mean():.0%} of {len(known):,}" if len(known) else "–"


def _distinct(texts: Sequence[Sequence[str]], size: int) -> float:
    grams = [gram for words in texts for gram in (words if size == 1 else pairwise(words))]
    return len(set(grams)) / len(grams) if grams else 0.0


def _nearest(texts: Sequence[Sequence[str]]) -> float:
    """Return the mean, over the texts, of the highest Jaccard similarity of its set of words to another's."""
    import numpy as np

    if len(texts) < 2:
        return 0.0
    columns = {word: place for place, word in enumerate(dict.fromkeys(word for words in texts for word in words))}
    holds = np.zeros((len(texts), len(columns)), dtype=np.float32)
    for row, words in enumerate(texts):
        holds[row, [columns[word] for word in words]] = 1
    both, sizes = holds @ holds.T, holds.sum(axis=1)
    similarity = both / np.maximum(sizes[:, None] + sizes[None, :] - both, 1)
    np.fill_diagonal(similarity, 0)
    return float(similarity.max(axis=1).mean())


def _percentiles(lengths: list[int]) -> tuple[int, int, int]:
    ordered = sorted(lengths)
    low, middle, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.1, 0.5, 0.9))
    return low, middle, high
