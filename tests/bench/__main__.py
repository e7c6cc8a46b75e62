"""The benchmarks, as one Markdown table: what is measured, the figure, the aim.

    python -m tests.bench [clean faults capacity kill memory wide journal cost gates validator million labels fleet]

Without names it runs all of them but `fleet`, which needs an extra of its own.
"""

import sys
from collections.abc import Callable, Iterator

from tests.bench import engine
from tests.bench.fleet import fleet
from tests.bench.gates import gates
from tests.bench.labels import labels
from tests.bench.million import million
from tests.bench.validator import validator

PARTS: dict[str, Callable[..., Iterator[tuple[str, str, str]]]] = {
    "clean": engine.clean,
    "faults": engine.faults,
    "capacity": engine.capacity,
    "kill": engine.kill,
    "memory": engine.memory,
    "wide": engine.wide,
    "journal": engine.journal,
    "cost": engine.cost,
    "gates": gates,
    "validator": validator,
    "million": million,
    "labels": labels,
}
BY_NAME_ONLY: dict[str, Callable[..., Iterator[tuple[str, str, str]]]] = {"fleet": fleet}


def main(names: list[str]) -> None:
    known = PARTS | BY_NAME_ONLY
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"There is no benchmark {', '.join(unknown)}. There are: {', '.join(known)}.")
    print("| measured | figure | aim |\n|---|---|---|")
    for name in names or PARTS:
        for what, figure, aim in known[name]():
            print(f"| {what} | {figure} | {aim} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
