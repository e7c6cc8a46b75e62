"""Second opinions, as Markdown tables: on files that are crafted to be wrong, or on the file that is named.

    python -m tests.crosscheck [FILE]
    python -m tests.crosscheck --run [run=<name> and any other setting]

Exit code 1: a checker refuses the file.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from lib.run.run import Run
from lib.run.runs import with_run
from lib.settings import from_root, settings_of
from lib.validate.check import validate_file
from tests.crosscheck.checkers import CHECKERS, RIGHT
from tests.crosscheck.files import crafted


def opinions(path: Path) -> dict[str, str]:
    return {name: check(path) for name, check in CHECKERS.items()}


def of_crafted() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield what the file is, the code that this kit should give, and what each checker says."""
    with TemporaryDirectory() as folder:
        for number, (name, raw, code) in enumerate(crafted()):
            path = Path(folder) / f"{number}.jsonl"
            path.write_bytes(raw)
            yield name, code, opinions(path)


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--run"]:
        arguments = [str(Run(settings_of(with_run(arguments[1:]))).finetune)]
    if arguments:
        if not (path := from_root(arguments[0])).is_file():
            print(f"{path} is not there: run 02_filter first, or name a file with FILE=.", file=sys.stderr)
            return 2
        found = opinions(path)
        if validate_file(path, few_is="warning").valid:  # a small run's file is no wrong one
            found |= dict.fromkeys(("this kit, strict", "this kit, general"), RIGHT)
        print("| checker | says |\n|---|---|")
        print("\n".join(f"| {name} | {said} |" for name, said in found.items()))
        return int(any(said != RIGHT for said in found.values()))
    print(f"| file | {' | '.join(CHECKERS)} |\n|{'---|' * (len(CHECKERS) + 1)}")
    for name, _, said in of_crafted():
        print(f"| {name.replace('|', '&#124;')} | {' | '.join(said.values())} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
