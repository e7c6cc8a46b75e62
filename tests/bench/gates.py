"""The gates before the judge: seconds and memory at 1,000 and 20,000 samples of usual length, beside a benchmark file of 250 rows.

The text is nonsense drawn from a vocabulary of 5,000 words, common ones more often, so that hardly any sample is dropped and every gate
sees every sample: the worst case.
"""

import csv
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from io import StringIO
from itertools import accumulate
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from lib.generate.seeds import read_seeds
from lib.run.files import write_jsonl
from lib.run.manifest import update_manifest
from lib.run.run import Run
from lib.schema import Sample
from lib.settings import PROJECT_ROOT, Settings
from tests.answers import digest
from tests.bench.peak import peak_mb
from tests.build import a_sample, gate

SEEDS = read_seeds(PROJECT_ROOT / "data" / "seeds.csv")
VOCABULARY = [digest(number)[: 3 + number % 8] for number in range(5_000)]
SHARES = list(accumulate(1 / rank for rank in range(1, len(VOCABULARY) + 1)))  # Zipf
SENTENCE_WORDS, LENGTHS = 14, {"question": 70, "explanation": 150, "follow_up": 70, "response": 120}
SIZES = {1_000: 5, 20_000: 120}  # samples: seconds to stay below


def gates(sizes: Mapping[int, int] = SIZES) -> Iterator[tuple[str, str, str]]:
    for samples, aim_s in sizes.items():
        command = [sys.executable, "-m", "tests.bench.gates", str(samples)]  # a process of its own: its peak is its own
        seconds, peak_mb, passed = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True).stdout.split()
        figure = f"{float(seconds):.1f} s, {float(peak_mb):.0f} MB, {int(passed):,} go on to the judge"
        yield f"all gates over {samples:,} samples", figure, f"< {aim_s} s"


def prose(random: Random, words: int) -> str:
    drawn = random.choices(VOCABULARY, cum_weights=SHARES, k=words)
    return " ".join(word + "." * (place % SENTENCE_WORDS == SENTENCE_WORDS - 1) for place, word in enumerate(drawn))


def written(count: int) -> Iterator[Sample]:
    random = Random(0)
    for number in range(count):
        seed = SEEDS.seeds[number % len(SEEDS.seeds)]
        texts = {name: prose(random, words) for name, words in LENGTHS.items()}
        yield a_sample(f"seed{number:05d}_var1", seed_sha256=seed.sha256, **texts)


def main(samples: int) -> None:
    """Print the seconds, the peak memory in MB and how many samples pass."""
    with TemporaryDirectory() as path, redirect_stdout(StringIO()):
        benchmark, random = Path(path) / "benchmark.csv", Random(1)
        with benchmark.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([prose(random, 80), prose(random, 150), prose(random, 60), prose(random, 300)] for _ in range(250))
        settings = Settings.of(run="gates", outputs_dir=path, benchmark_csv=str(benchmark))
        write_jsonl(Run(settings).generated, written(samples))
        update_manifest(Run(settings), "generation", values={"inputs_sha256": {"seeds": SEEDS.sha256}})
        started = time.monotonic()
        done = gate(settings)
        seconds = time.monotonic() - started
    print(seconds, peak_mb(), done.made - sum(done.dropped.values()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
