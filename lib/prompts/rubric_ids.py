"""An id as a model spells it -> the rubric's own id. "R1", " r1 ", "r1.", "[r1]", "criterion r1" and "1" all stand for r1."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from unicodedata import normalize

AROUND = re.compile(r"^\W*(?:(?:criterion|criteria|rubric|id)\W+)?|\W+$")
NUMBERED = re.compile(r"r?\W*0*(\d+)")


class OwnIds:
    """The ids of one sample's rubrics. Ids that are spelled alike, as "r1" and "1", are each matched by themselves only."""

    def __init__(self, rubric_ids: Sequence[str]) -> None:
        counts = Counter(map(_bare, rubric_ids))
        self._by_spelling = {_bare(name): name for name in rubric_ids if counts[_bare(name)] == 1}
        self._wanted = Counter(rubric_ids)

    def of(self, given: str) -> str:
        """Return the rubric's own id, or `given` unchanged when it is the spelling of none."""
        return self._by_spelling.get(_bare(given), given)

    def objection(self, given: Iterable[str], *, what: str) -> str:
        """Return the objection to ids that lack, repeat or invent one of the rubrics'. It is "" when each stands once."""
        counts, wanted = Counter(map(self.of, given)), self._wanted
        if counts == wanted:
            return ""
        missing, surplus = sorted((wanted - counts).elements()), sorted((counts - wanted).elements())
        return f"{what} missing for {missing or 'none'}, surplus {surplus or 'none'}"


@lru_cache(maxsize=512)  # all samples have the same few ids
def _bare(rubric_id: str) -> str:
    """Return what all spellings of an id have in common."""
    bare = AROUND.sub("", normalize("NFKC", rubric_id).casefold())
    numbered = NUMBERED.fullmatch(bare)
    return f"r{numbered[1]}" if numbered else bare
