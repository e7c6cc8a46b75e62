"""Check a training file on the command line.

    python -m lib.commands validate FILE [--form general] [--report out.json] [--no-tokens] [--epochs N] [--usd-per-mtok X]
    python -m lib.commands validate FILE --form preferences|rubrics

The exit code is 1 when the file has errors, and 2 when it can't be read.
"""

import argparse
from pathlib import Path

from lib.errors import KitError
from lib.run.files import write_json
from lib.settings import from_root
from lib.validate import TrainingFileError, validate_file
from lib.validate.forms import CHECKS, validate_form

SHOWN = 20  # problems
ONLY_STRICT = {"wrong_roles", "extra_key", "system_prompt_differs"}


def main(words: list[str]) -> int:
    """Print the report of a file, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m lib.commands validate", description="Check a training file in the OpenAI chat format.")
    parser.add_argument("file", type=Path, help="the .jsonl file; relative to the current folder, else to the project's root")
    parser.add_argument("--report", type=Path, help="write the report there as JSON")
    parser.add_argument(
        "--form",
        choices=["strict", "general", *CHECKS],
        default="strict",
        help="general allows any chat format: several turns, tools, weights, no system prompt; preferences and rubrics are the other files",
    )
    parser.add_argument("--general", action="store_const", dest="form", const="general", help="the same as --form general")
    parser.add_argument("--no-tokens", action="store_true", help="do not count tokens, which is ten times as fast")
    parser.add_argument("--epochs", type=int, default=0, help="epochs of training; 0 means as many as OpenAI would choose")
    parser.add_argument("--usd-per-mtok", type=float, help="your trainer's price of a million tokens, US dollars")
    options = parser.parse_args(words)
    try:
        path = options.file if options.file.exists() else from_root(str(options.file))
        if options.report and options.report.resolve() == path.resolve():
            raise TrainingFileError(f"{path} is the file to be checked: write the report to another name.")
        if options.form in CHECKS:
            found = validate_form(path, options.form)
            print(found)
            return 0 if found.valid else 1
        report = validate_file(
            path,
            shown=SHOWN,
            strict=options.form == "strict",
            count_tokens=not options.no_tokens,
            epochs=options.epochs,
            usd_per_mtok=options.usd_per_mtok,
        )
        if options.report:
            write_json(options.report, report.model_dump(mode="json"))
    except KitError as error:
        error.exit_code = 2
        raise
    print(report.summary(), *report.problems, sep="\n")
    if more := report.errors + report.warnings - len(report.problems):
        print(f"... and {more:,} more")
    if report.strict and report.counts.keys() & ONLY_STRICT:
        print("Strict is this kit's own form. For other files in the chat format: make validate FILE=… FORM=general")
    return 0 if report.valid else 1
