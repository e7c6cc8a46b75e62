"""The one command line of the kit.

    python -m lib.commands NAME [words …]

A user's mistake is printed as one line on stderr and gives exit code 1, or the error's own. Ctrl-C gives 130.
"""

import os
import sys
from importlib import import_module

from lib.errors import KitError

NAMES = ("notebooks", "estimate", "summary", "review", "rerun", "topup", "validate", "settings", "runs", "lab", "report", "push")


def main(words: list[str]) -> int:
    name, *others = words or [""]
    if name not in NAMES:
        print(f"There is no command `{name}`. There are: {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    try:
        return int(import_module(f"lib.commands.{name}").main(others))
    except KitError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "lib":  # a bug, not a package that is missing
            raise
        print(
            f"The package {error.name} is not installed in {sys.executable}. Install the kit's packages there (conda env create -f "
            "environment.yml, or pip install -e .), or leave out ENV=active, and make sets up .venv by itself.",
            file=sys.stderr,
        )
        return 1
    except BrokenPipeError:  # as in `make settings | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing fails for it again
        return 0
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
