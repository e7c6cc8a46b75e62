"""Tables -> what follows from them, in plain sentences: what stands out, how good the judge is, where samples are lost, what to do."""

from collections import Counter
from dataclasses import dataclass
from statistics import median_low
from textwrap import fill
from typing import Any

from lib.analyze.chance import ERROR_RATE, FEWEST_FOR_RATES, Contrast, contrasts, would_differ
from lib.analyze.groups import counted_rows
from lib.analyze.losses import failing_criteria, funnel, skill_name, skills_by_failures, to_read
from lib.analyze.next_step import next_step
from lib.analyze.rates import Share, are
from lib.analyze.tables import Tables
from lib.analyze.trust import Trust, trust
from lib.errors import counted
from lib.filter.keep import VERDICT_REASONS
from lib.settings import FEWEST_PLANTED
from lib.taxonomy import label

NAMES = {"subject": "subject", "misconception_type": "kind"}
MOST_NAMED = 6  # subjects and kinds
LINE = 110  # characters, so that JupyterLab breaks no word; commands stay on one line


@dataclass(frozen=True, slots=True)
class Conclusions:
    """What follows from a run, a paragraph each, and the criteria that fail most."""

    groups: str
    judge: str
    losses: str
    next_step: str
    failing: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        parts = {"Subjects and kinds": self.groups, "Judge": self.judge, "Losses": self.losses, "Next": self.next_step}
        lines = "\n\n".join(f"{name}. {text}" for name, text in parts.items()).split("\n")
        return "\n".join(line if line.startswith("  ") else fill(line, LINE, break_on_hyphens=False) for line in lines)

    def rows(self) -> list[dict[str, Any]]:
        """Return the skills whose criteria fail most often, each with an example, as rows of a table."""
        return list(self.failing)


def conclusions(tables: Tables) -> Conclusions:
    """Return what follows from the tables. Every number is of the first pass. Raises ReviewError for an unusable sheet."""
    judge = trust(tables)
    return Conclusions(
        groups=_groups(tables),
        judge=_judge(judge),
        losses=_losses(tables),
        next_step=next_step(tables, judge),
        failing=tuple(failing_criteria(tables)),
    )


def _groups(tables: Tables) -> str:
    """Return which subjects and kinds differ from the rest, or what it would have taken."""
    compared, made = contrasts(tables), len(counted_rows(tables, "subject"))
    if made < FEWEST_FOR_RATES:
        return f"{counted(made, 'sample')} {are(made)} too few to compare subjects or kinds."
    whole = _whole(compared)
    if not compared:
        return "There is one subject and one kind only, so there is nothing to compare."
    if whole.hits in (0, whole.total):
        return f"{'All samples are' if whole.hits else 'No sample is'} kept, so no subject and no kind differs from the rest."
    apart = sorted((one for one in compared if one.differs), key=lambda one: one.p)
    numbers = Counter(one.by for one in compared)
    sets = " and ".join(counted(numbers[by], name) for by, name in NAMES.items() if numbers[by])
    how = (
        f"Each was compared with all the others by Fisher's exact test, and the chance of naming any of them wrongly is at most "
        f"{ERROR_RATE:.0%} over all {len(compared)} comparisons together (Holm's method)."
    )
    if not apart:
        return f"None of the {sets} differs from the rest by more than chance. {how} {_what_it_takes(compared, whole)}"
    named = []
    for which, lower in (("less", True), ("more", False)):
        names = [str(one) for one in apart if one.is_lower is lower]
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        named += [f"Kept {which} often: {', '.join(names[:MOST_NAMED])}{more}."] if names else []
    differ = "1 differs" if len(apart) == 1 else f"{len(apart)} differ"
    return f"Of the {sets}, {differ} from the rest by more than chance. {' '.join(named)} {how}"


def _whole(compared: tuple[Contrast, ...]) -> Share:
    """Return kept ÷ made of all groups together."""
    return (
        Share(compared[0].group.hits + compared[0].rest.hits, compared[0].group.total + compared[0].rest.total) if compared else Share(0, 0)
    )


def _what_it_takes(compared: tuple[Contrast, ...], whole: Share) -> str:
    """Return which counts would have set a subject and a kind of the usual size apart."""
    sentences = []
    for by, name in NAMES.items():
        sizes = [one.group.total for one in compared if one.by == by]
        if not sizes:
            continue
        size = median_low(sizes)
        most, least = would_differ(size, whole=whole, comparisons=len(compared))
        fewer = "" if most is None else f"at most {most:,}" if most else "none"
        more = "" if least is None else f"at least {least:,}" if least < size else "all"
        counts = (fewer, more)
        needed, expected = " or ".join(filter(None, counts)), size * whole.hits / whole.total
        samples = counted(size, "sample")
        if needed:
            sentences.append(f"A {name} of {samples} would have stood out with {needed} of them kept, where {expected:.0f} are expected.")
        else:
            sentences.append(f"A {name} of {samples} could not have stood out, because it holds too few.")
    return " ".join(sentences)


def _judge(judge: Trust) -> str:
    """Return what share of planted failures was caught and the corrected rate, or why nothing can be said."""
    if judge.notice:
        return f"Nothing can be said of it. {judge.notice}"
    found, caught = judge.catches, judge.all_caught
    if not found.pairs.total:
        return "Nothing is known of it, because no failure was planted and judged."
    if not found.is_enough:
        few = f"It caught {caught.hits} of {caught.total} planted failures whose original it passes."
        return f"{few} At least {FEWEST_PLANTED} must be planted to tell how good it is."
    line = f"Of the planted failures whose original it passes it caught {caught}: {found.difference_line}."
    if not judge.passed.hits:
        return f"{line} It passed no sample, so there is no rate to correct."
    measured = (judge.people and judge.people.sensitivity) or judge.false_alarms.held
    assumed = "" if measured else " This assumes that it passes every good response."
    return f"{line} {judge.corrected_line[:1].upper()}{judge.corrected_line[1:]}.{assumed if judge.corrected else ''}"


def _losses(tables: Tables) -> str:
    """Return the step of the funnel that loses most, the criteria that fail most, and samples to read."""
    steps = funnel(tables)
    made, kept = steps[0]["samples"], steps[-1]["left"]
    if not made:
        return "Nothing was made."
    if made == kept:
        return f"Nothing was lost of {counted(made, 'sample')}."
    worst = max(steps, key=lambda step: step["dropped"])
    most = f"The step that loses most is “{label(worst['step']).lower()}”, with {worst['dropped']:,} of {made - kept:,} lost samples."
    lines = [f"{kept:,} of {made:,} {are(kept)} kept. {most}"]
    skill = ""
    if worst["step"] in VERDICT_REASONS:
        skill, what_fails = _what_fails(tables)
        lines += what_fails
    return " ".join([*lines, f"Read {', '.join(to_read(tables, worst['step'], skill=skill))}."])


def _what_fails(tables: Tables) -> tuple[str, list[str]]:
    """Return the skill whose critical criteria fail most often, or "", and sentences on it and on the judge's remarks."""
    verdicts, samples = counted_rows(tables, "tutoring_skill"), tables.first_pass
    worst = skills_by_failures(verdicts.loc[verdicts["critical"].astype(bool), ["tutoring_skill", "met"]]).head(1).to_dict("records")
    counts = [
        f"Of the critical criteria, those on {skill_name(one['tutoring_skill'])} fail most often: {one['failed']:,} of {one['judged']:,}."
        for one in worst
    ]
    found = Counter(word for words in samples.loc[~samples["kept"].astype(bool), "weaknesses"] for word in words)
    names = [f"{label(name).lower()} ({count:,})" for name, count in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))]
    remarks = [f"What the judge finds most often in dropped responses: {', '.join(names[:3])}."] if names else []
    return next((str(one["tutoring_skill"]) for one in worst), ""), counts + remarks
