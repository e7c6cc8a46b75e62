"""Settings -> calls, tokens, US dollars and minutes on the screen, before anything is spent."""

from lib.errors import KitError
from lib.generate.estimate import estimate
from lib.generate.plan import read_topics
from lib.generate.seeds import read_seeds
from lib.llm.provider import chosen
from lib.settings import from_root, settings_of


def main(words: list[str]) -> int:
    """Print the estimate. The first word is `plan`, or `full`, which refuses the embedded model unless it was asked for by name."""
    what, *pairs = words
    settings = settings_of(pairs)
    if what == "full" and settings.provider == "auto" and chosen(settings) == "local":
        raise KitError(
            "make full needs ANTHROPIC_API_KEY (see .env.example): the embedded model's text is no training data. "
            "PROVIDER=local runs it all the same."
        )
    if settings.provider == "auto":  # people want to know before they have a key
        settings = settings.model_copy(update={"provider": "anthropic"})
    seed_file = read_seeds(from_root(settings.seeds_csv), on_bad_row=settings.on_bad_row)
    expected = estimate(seed_file, read_topics(from_root(settings.topics_csv)), settings)
    for stage in expected.stages:
        tokens = f"{stage.input_tokens:>12,} tokens in, {stage.output_tokens[0]:,} to {stage.output_tokens[1]:,} out"
        print(f"  {stage.stage:<9} {stage.calls:>6,} calls {tokens}, ${stage.cost_usd[0]:,.2f} to ${stage.cost_usd[1]:,.2f}")
    print(f"{settings.planned_samples:,} samples: {expected}")
    return 0
