"""A text -> the texts before it that are near to it, by the Jaccard similarity of their 3-word shingles, estimated by MinHash.

Numbers count as equal, because the same question with other numbers is the same question. Texts are compared when their MinHashes agree in
a band, so that a text is not compared with all others. The bands are looked up in a temporary SQLite file, because a million texts have
32 million of them, which rensa's own index would hold in 2.6 GB of memory.
Source: Broder 1997, On the resemblance and containment of documents.
"""

import re
import sqlite3
from array import array
from collections.abc import Sequence
from weakref import finalize

from lib.generate.words import words
from lib.run.files import RunError

NUMBER = re.compile(r"\d+")
SHINGLE = 3  # words in a row, of which sets are compared
CACHE_KB = 128_000  # of the bands, in memory
SCHEMA = f"""
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -{CACHE_KB};
CREATE TABLE band (hash INTEGER, text INTEGER, PRIMARY KEY (hash, text)) WITHOUT ROWID;
BEGIN;
"""


def shingled_words(text: str) -> list[str]:
    """Return the words that are compared, with every number replaced by 0."""
    return NUMBER.sub("0", " ".join(words(text))).split()


class NearTexts:
    """The texts that were added, by their names."""

    def __init__(self, *, permutations: int, bands: int) -> None:
        self._permutations, self._bands = permutations, bands
        self._names, self._minhashes = list[str](), array("I")  # one after the other, `permutations` numbers each
        self._index = sqlite3.connect(
            "", isolation_level=None, check_same_thread=False
        )  # a file that has no name, and goes with the connection
        self._index.executescript(SCHEMA)
        finalize(self, self._index.close)
        self._find = f"SELECT hash, text FROM band WHERE hash IN ({', '.join('?' * bands)})"
        self._insert = f"INSERT OR IGNORE INTO band VALUES {', '.join(['(?, ?)'] * bands)}"

    def minhash(self, compared: Sequence[str]) -> list[int]:
        """Return the MinHash of a text of which these words are compared."""
        from rensa import RMinHash

        minhash = RMinHash(num_perm=self._permutations, seed=1)
        minhash.update([" ".join(compared[start : start + SHINGLE]) for start in range(max(1, len(compared) - SHINGLE + 1))])
        return list(minhash.digest())

    def near(self, minhash: list[int], *, similarity: float) -> list[tuple[int, str, float]]:
        """Return the number, the name and the similarity of each text that is so similar, those first that agree in an earlier band."""
        import numpy as np

        hashes = self._hashes(minhash)
        found = self._asked(self._find, hashes)
        if not found:
            return []
        band_of = {band: place for place, band in enumerate(hashes)}
        numbers = list(dict.fromkeys(number for _, number in sorted((band_of[band], number) for band, number in found)))
        others = np.frombuffer(self._minhashes, dtype=np.uintc).reshape(-1, self._permutations)[numbers]
        alike = (others == np.array(minhash, dtype=np.uintc)).sum(axis=1) / self._permutations
        return [(number, self._names[number], share) for number, share in zip(numbers, alike.tolist(), strict=True) if share >= similarity]

    def add(self, name: str, minhash: list[int]) -> None:
        number = len(self._names)
        self._asked(self._insert, [value for band in self._hashes(minhash) for value in (band, number)])
        self._names.append(name)
        self._minhashes.extend(minhash)

    def _hashes(self, minhash: list[int]) -> list[int]:
        """Return one hash a band. Bands at different places have different ones."""
        size = self._permutations // self._bands
        return [hash((place, *minhash[place : place + size])) for place in range(0, self._bands * size, size)]

    def _asked(self, query: str, values: list[int]) -> list[tuple[int, int]]:
        try:
            return self._index.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise RunError(f"The folder for temporary files can't be used ({error}). Free some space, or name another in TMPDIR.") from None
