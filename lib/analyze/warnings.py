"""What is known of the judge -> the sentences without which the keep rate must not be read."""

from lib.analyze.catches import Catches
from lib.analyze.rates import Share
from lib.analyze.strata import Estimated
from lib.settings import FEWEST_PLANTED

HIGH_KEEP_RATE, LOW_KEEP_RATE, LOW_CATCH_RATE, HIGH_UNFOUND_RATE = 0.95, 0.50, 0.80, 0.10
FEWEST_TO_WARN = 16  # samples, because 100 % of fewer is no finding
LOOKS_THE_SAME = "a judge that lets everything pass looks the same"
SUBTLER = "natural failures are subtler than the planted ones it catches"


def about_the_keep_rate(kept: Share, *, caught: Share) -> list[str]:
    """Return a warning when the keep rate is so high, or so low, that something may be wrong."""
    rate, (low, _) = kept.rate, caught.interval or (0.0, 1.0)
    if rate is None or kept.total < FEWEST_TO_WARN:
        return []
    if rate > HIGH_KEEP_RATE:
        looks = SUBTLER if low >= LOW_CATCH_RATE else LOOKS_THE_SAME
        return [f"{rate:.1%} are kept, more than {HIGH_KEEP_RATE:.0%}: {looks}. Read a dozen kept samples."]
    if rate < LOW_KEEP_RATE:
        return [f"{rate:.1%} are kept, fewer than {LOW_KEEP_RATE:.0%}: prompts, judge or criteria are at fault; see notebook 3."]
    return []


def about_catches(catches: Catches, *, planted: int) -> list[str]:
    """Return a warning when the judge may catch fewer than it must. Some of the `planted` failures may be unjudged."""
    caught, (low, high) = catches.caught, catches.caught.interval or (0.0, 1.0)
    some_unjudged = not catches.is_enough and planted >= FEWEST_PLANTED
    is_low = (some_unjudged and high < LOW_CATCH_RATE) or (catches.is_enough and low < LOW_CATCH_RATE)
    if caught.hits == caught.total or not is_low:
        return []
    if (caught.rate or 0.0) >= LOW_CATCH_RATE:
        return [
            f"The judge caught {caught.hits} of {caught.total} planted failures. So few were planted that its catch rate may be as low as "
            f"{low:.0%}. Raise PLANTED_SHARE to know it better."
        ]
    return [
        f"The judge caught only {caught.hits} of {caught.total} planted failures; its catch rate may be as low as {low:.0%}, so the keep "
        "rate can't be trusted. Set JUDGE_MODEL to a stronger one, or raise VOTES."
    ]


def about_labels(good: Estimated | None, *, passed: Share) -> list[str]:
    """Return a warning when people find clearly fewer samples good than the judge passes."""
    low, _ = passed.interval or (0.0, 1.0)
    if not good or good[2] >= low:
        return []
    return [
        f"By people's labels {good[0]:.0%} of the samples are good, and at most {good[2]:.0%}, while the judge passes "
        f"{passed.rate or 0.0:.0%}. So bad samples are kept. Set JUDGE_MODEL to a stronger one."
    ]


def about_quotes(unfound: Share) -> list[str]:
    """Return a warning when too many of the judge's quotes do not stand in the response."""
    if unfound.total < FEWEST_TO_WARN or unfound.hits <= HIGH_UNFOUND_RATE * unfound.total:
        return []
    found = f"{unfound.hits:,} of the judge's {unfound.total:,} quotes"
    return [f"{found} don't stand in the response it judged. Set JUDGE_MODEL to a stronger one."]
