"""Settings -> calls, tokens, US dollars and minutes on the screen, before anything is spent."""

from collections import Counter

from lib.errors import KitError
from lib.generate.estimate import estimate
from lib.generate.inputs import read_plan
from lib.llm.addresses import address
from lib.run.run import Run
from lib.settings import settings_of


def main(words: list[str]) -> int:
    """Print the estimate. The first word is `plan`, or `full`, which refuses the embedded model unless it was asked for by name."""
    what, *pairs = words or ["plan"]
    settings = settings_of(pairs)
    if what == "full" and settings.provider == "auto" and address(settings, "scenario").access.is_local:
        raise KitError(
            "make full needs a provider, for example by ANTHROPIC_API_KEY or OPENAI_BASE_URL (see .env.example): the embedded model's text "
            "is no training data. "
            "PROVIDER=local runs it all the same."
        )
    if settings.provider == "auto" and address(settings, "scenario").access.is_local:  # people want to know before they have a key
        settings = settings.model_copy(update={"provider": "anthropic"})
    run = Run(settings)
    plan = read_plan(run)
    for remark in plan.remarks:
        print(f"NOTE: {remark}")
    expected = estimate(run, plan)
    rows = expected.rows()
    stages = Counter(row["stage"] for row in rows)
    names = [row["stage"] if stages[row["stage"]] == 1 else f"{row['stage']} {row['model']}" for row in rows]
    for name, row in zip(names, rows, strict=True):
        tokens = f"{row['input tokens']:>12} tokens in, {row['output tokens']} out"
        print(f"  {name:<{max(9, *map(len, names))}} {row['calls']:>6} calls {tokens}, {row['US dollars']} US dollars")
    print(expected)
    return 0
