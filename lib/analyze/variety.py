"""samples -> how varied their text is, beside the figures of an earlier run that asked for variety and did not measure it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from lib.filter.gates import closing, opening
from lib.filter.keep import decisions
from lib.run.folder import made_samples, run_of
from lib.schema import Sample
from lib.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

MOST_COMPARED = 1000  # texts compared pairwise
PRAISE = re.compile(
    r"\b(?:great|good|excellent|wonderful|fantastic|thoughtful|insightful|amazing|nice|love|impressive|perfect|well done|smart|brilliant"
    r"|terrific|superb|awesome|sharp)\b",
    re.IGNORECASE,
)
WORD = re.compile(r"\w+")
YOU = re.compile(r"^you(?:['’](?:ve|re)|r)\b", re.IGNORECASE)
SENTENCE = re.compile(r"^.+?[.!?](?=\s|$)", re.DOTALL)
# Public figures of 898 to 998 samples: the prompt asked for variety, nothing assigned or measured it.
EARLIER_RUN = {
    "samples": "998",
    "topics used": "702 in 898 samples",
    "most frequent topic": "11 times",
    "opens with praise": "78%",
    "opens with You've, You're, Your": "70%",
    "ends with a question": "62%",
    "holds an em dash": "92%",
}


@dataclass(frozen=True, slots=True)
class Variety:
    """Measures of the responses. Shares and similarities are in 0..1; `words` are the 10th, 50th and 90th percentile of their lengths.

    distinct-n: distinct n-grams of words ÷ all n-grams (Li et al. 2016, arXiv 1510.03055). It falls with size, as does the nearest
    neighbour's distance: compare sets of equal `compared`.
    """

    samples: int
    compared: int
    distinct_1: float
    distinct_2: float
    nearest_similarity: float
    topics: int
    most_frequent_topic: int
    openings: int
    most_frequent_opening: float
    most_frequent_closing: float
    praise: float
    you: float
    question: float
    em_dash: float
    words: tuple[int, int, int]


def variety(samples: Iterable[Sample], *, compared: int) -> Variety | None:
    """Return the measures, those that depend on size over `compared` of the samples (evenly spaced); None without samples."""
    topics, openings, closings, marks = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    lengths: list[int] = []
    responses: list[str] = []
    for sample in samples:
        response = sample.response
        responses.append(response)
        lengths.append(len(response.split()))
        topics[sample.metadata.topic.casefold()] += 1
        openings[opening(response)] += 1
        closings[closing(response)] += 1
        marks.update(_marks(response))
    if not lengths:
        return None
    total = len(lengths)
    step = total / min(total, compared)
    some = [WORD.findall(responses[int(place * step)].casefold()) for place in range(min(total, compared))]
    return Variety(
        samples=total,
        compared=len(some),
        distinct_1=_distinct(some, 1),
        distinct_2=_distinct(some, 2),
        nearest_similarity=_nearest(some),
        topics=len(topics),
        most_frequent_topic=max(topics.values()),
        openings=len(openings),
        most_frequent_opening=max(openings.values()) / total,
        most_frequent_closing=max(closings.values()) / total,
        praise=marks["praise"] / total,
        you=marks["you"] / total,
        question=marks["question"] / total,
        em_dash=marks["em_dash"] / total,
        words=_percentiles(lengths),
    )


def variety_table(settings: Settings) -> "pd.DataFrame":
    """Return the measures of all samples made and of those kept, beside the earlier run's; sets compared at equal size."""
    import pandas as pd

    kept = sum(1 for _, _, decision in decisions(settings) if decision.status == "kept")
    compared = min(MOST_COMPARED, kept or MOST_COMPARED)
    made = variety(made_samples(run_of(settings)), compared=compared)
    after = variety((sample for sample, _, decision in decisions(settings) if decision.status == "kept"), compared=compared)
    columns = {"made": _shown(made), "kept": _shown(after), "an earlier run": EARLIER_RUN}
    names = list(_shown(made)) or list(EARLIER_RUN)
    rows = [{"measure": name} | {column: shown.get(name, "–") for column, shown in columns.items()} for name in names]
    return pd.DataFrame(rows)


def _shown(found: Variety | None) -> dict[str, str]:
    if found is None:
        return {}
    low, middle, high = found.words
    return {
        "samples": f"{found.samples:,}",
        f"distinct-1, distinct-2 (of {found.compared:,} responses)": f"{found.distinct_1:.3f}, {found.distinct_2:.3f}",
        f"similarity to the nearest neighbour (of {found.compared:,})": f"{found.nearest_similarity:.2f}",
        "topics used": f"{found.topics:,} in {found.samples:,} samples",
        "most frequent topic": "once" if found.most_frequent_topic == 1 else f"{found.most_frequent_topic} times",
        "different openings (3 words)": f"{found.openings:,}",
        "most frequent opening": f"{found.most_frequent_opening:.0%}",
        "most frequent closing": f"{found.most_frequent_closing:.0%}",
        "opens with praise": f"{found.praise:.0%}",
        "opens with You've, You're, Your": f"{found.you:.0%}",
        "ends with a question": f"{found.question:.0%}",
        "holds an em dash": f"{found.em_dash:.0%}",
        "words, 10th to 90th percentile": f"{low} to {high}, median {middle}",
    }


def _marks(response: str) -> Iterator[str]:
    first = SENTENCE.match(response)
    if PRAISE.search(first[0] if first else response):
        yield "praise"
    if YOU.match(response):
        yield "you"
    if response.rstrip("\"'”’)*_ \n").endswith("?"):
        yield "question"
    if "—" in response:
        yield "em_dash"


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
    both = holds @ holds.T
    sizes = holds.sum(axis=1)
    either = sizes[:, None] + sizes[None, :] - both
    similarity = both / np.maximum(either, 1)
    np.fill_diagonal(similarity, 0)
    return float(similarity.max(axis=1).mean())


def _percentiles(lengths: list[int]) -> tuple[int, int, int]:
    ordered = sorted(lengths)
    low, middle, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.1, 0.5, 0.9))
    return low, middle, high
