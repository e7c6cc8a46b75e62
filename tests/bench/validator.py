"""The validator beside a loop like the one in OpenAI's cookbook, on the same file in the same minute: without tokens and with them.

The loop reads all lines into memory, checks roles and keys, and counts with tiktoken; what it does not look for it does not pay for.
"""

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from lib.filter.examples import SYSTEM_PROMPT
from lib.settings import PROJECT_ROOT
from lib.validate.check import validate_file
from tests.bench.gates import prose
from tests.bench.peak import peak_mb
from tests.build import tiktoken_o200k

EXAMPLES, LARGE = 60_000, 280_000  # some 220 MB and 1 GB


def validator(examples: int = EXAMPLES, large: int = LARGE, repeats: int = 3) -> Iterator[tuple[str, str, str]]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "train.jsonl"
        written(path, examples)
        size_mb = path.stat().st_size / 1e6
        for what, tokens in (("without tokens", False), ("with tokens", True)):
            ours, theirs = (measured(who, path, tokens=tokens, repeats=1 if tokens else repeats) for who in ("ours", "loop"))
            figure = f"{ours[0]:.1f} s and {theirs[0]:.1f} s: {theirs[0] / ours[0]:.1f} ×"
            yield f"validator and a cookbook-like loop, {size_mb:.0f} MB, {what}", figure, "3 ×"
        written(path, large)
        large_mb, (large_s, peak_mb) = path.stat().st_size / 1e6, measured("ours", path, tokens=False, repeats=repeats)
        yield f"  a file of {large_mb:,.0f} MB without tokens", f"{large_s:.1f} s, peak memory {peak_mb:.0f} MB", "constant memory"


def measured(who: str, path: Path, *, tokens: bool, repeats: int) -> tuple[float, float]:
    """Return the seconds and the peak memory in MB of the best of `repeats` processes."""
    command = [sys.executable, "-m", "tests.bench.validator", who, str(path), str(tokens)]
    done = [subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=True) for _ in range(repeats)]
    return min((float(seconds), float(peak)) for seconds, peak in (run.stdout.split() for run in done))


def written(path: Path, examples: int) -> None:
    """Write examples of usual lengths: with line breaks, some formulas and some characters beyond ASCII."""
    random = Random(0)
    texts = [(prose(random, 320), prose(random, 160).replace(". ", ".\n\n", 2)) for _ in range(2_000)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(examples):
            user, answer = texts[number % len(texts)]
            formula = " So $\\frac{a}{b}$ − it’s “so”." if number % 3 == 0 else ""
            turns = zip(("system", "user", "assistant"), (SYSTEM_PROMPT, f"{number} {user}{formula}", f"{answer} {number}."), strict=True)
            example = {"messages": [{"role": role, "content": content} for role, content in turns]}
            file.write(json.dumps(example, ensure_ascii=False) + "\n")


def loop(path: Path, *, tokens: bool) -> int:
    """Return the errors found and, with `tokens`, count all and the assistant's, as the cookbook's notebook does."""
    with path.open(encoding="utf-8") as file:
        examples = [json.loads(line) for line in file]
    errors: dict[str, int] = defaultdict(int)
    for example in examples:
        messages = example.get("messages") if isinstance(example, dict) else None
        if not messages:
            errors["no messages"] += 1
            continue
        for message in messages:
            errors["missing key"] += "role" not in message or "content" not in message
            errors["unknown key"] += any(key not in ("role", "content", "name", "function_call", "weight") for key in message)
            errors["unknown role"] += message.get("role") not in ("system", "user", "assistant", "function")
            content = message.get("content")
            errors["no content"] += (not content and not message.get("function_call")) or not isinstance(content, str)
        errors["no assistant"] += not any(message.get("role") == "assistant" for message in messages)
    if tokens:
        encoding = tiktoken_o200k(path.parent)
        for example in examples:
            sum(3 + sum(len(encoding.encode(value)) for value in message.values()) for message in example["messages"])
            sum(len(encoding.encode(message["content"])) for message in example["messages"] if message["role"] == "assistant")
    return sum(errors.values())


def main(who: str, path: str, tokens: str) -> None:
    started = time.monotonic()
    if who == "ours":
        validate_file(Path(path), count_tokens=tokens == "True")
    else:
        loop(Path(path), tokens=tokens == "True")
    print(time.monotonic() - started, peak_mb())


if __name__ == "__main__":
    main(*sys.argv[1:])
