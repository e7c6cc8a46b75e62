"""Two runs of one plan -> what the change between them did: paired keep rates, cost of a kept sample, variety."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.analyze.rates import Pairs
from lib.analyze.tables import Tables, read_tables
from lib.analyze.trust import trust
from lib.analyze.variety import variety_table
from lib.errors import KitError, counted
from lib.run.manifest import read_manifest, section_of
from lib.run.run import Run
from lib.settings import Settings

SIGNIFICANT = 0.05
WITHOUT_EFFECT = frozenset([*Settings.names_of("place", "engine", "once"), "scenarios_from"])  # what pairs share is said of the pairs


class CompareError(KitError):
    """The two runs can't be compared."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs beside one another, sample by sample. All counts are of the first pass."""

    run: str
    other: str
    pairs: Pairs  # samples made in both runs, by whether this run (first) and the other (second) keep them
    same_question: int  # pairs with the same question, explanation and follow-up
    same_response: int  # pairs with the same response too, so that only the judging can differ
    unpaired: int  # samples made in one of the runs only
    changed: dict[str, tuple[str, str]]  # setting or prompt -> its value in the other run and in this one
    measures: tuple[tuple[str, str, str], ...]  # name, value in the other run, value in this one

    def __str__(self) -> str:
        if not self.pairs.total:
            return f"{self.other} and {self.run} have no sample in common"
        pairs, (difference, low, high) = self.pairs, self.pairs.difference
        sizes = f"of {pairs.total:,} pairs {pairs.only_first:,} are kept only in {self.run}, {pairs.only_second:,} only in {self.other}"
        interval = f"{difference:+.1%} (95 % interval {low:+.1%} to {high:+.1%}; McNemar's exact p = {pairs.mcnemar_p:.3g})"
        lines = [self.finding, f"keep rate of {self.run} beside {self.other}: {interval}; {sizes}", self.paired_by]
        lines += [f"{self.unpaired:,} samples were made in one of the runs only"] if self.unpaired else []
        lines += [f"changed: {name}, {one} in {self.other}, {two} in {self.run}" for name, (one, two) in self.changed.items()]
        return "\n".join(lines)

    @property
    def finding(self) -> str:
        """What can be concluded of the keep rates, at an error rate of 5 %."""
        pairs, differing = self.pairs, self.pairs.only_first + self.pairs.only_second
        if pairs.mcnemar_p < SIGNIFICANT:
            return f"{self.run} keeps {'more' if pairs.only_first > pairs.only_second else 'fewer'} than {self.other}, by more than chance"
        least = next(count for count in range(1, 100) if 2 * 0.5**count < SIGNIFICANT)
        few = f", and with fewer than {least} such pairs none could be" if differing < least else ""
        return f"no difference is shown, because the runs differ on {counted(differing, 'pair')} only{few}"

    @property
    def paired_by(self) -> str:
        """What the two samples of a pair have in common."""
        total, same = self.pairs.total, self.same_question
        if not same:
            return (
                "each pair shares its slot only, because each run wrote its own scenarios; SCENARIOS_FROM="
                f"{self.other} makes a run that answers the same questions"
            )
        pairs = f"all {total:,} pairs answer" if same == total else f"{same:,} of {total:,} pairs answer"
        responses = (
            f", {self.same_response:,} of them with the same response, so that only the judging can differ" if self.same_response else ""
        )
        return f"{pairs} the same question{responses}"

    def rows(self) -> list[dict[str, Any]]:
        """Return keep rates, judge, cost and variety of both runs as rows of a table."""
        return [{"measure": name, self.other: one, self.run: two} for name, one, two in self.measures]


def compare_runs(tables: Tables) -> Comparison | str:
    """Compare the run with `compare_with`. Return a sentence when that names no run.

    Raises CompareError when their plans differ, or when either has not been filtered.
    Raises RunError when the other one has changed since it was filtered.
    """
    settings = tables.run.settings
    if not settings.compare_with:
        return "To compare this run with another one of the same plan, name that one in compare_with."
    named = Settings.of(run=Path(settings.compare_with).name, outputs_dir=settings.outputs_dir, review_csv="")
    if named.run == settings.run:
        raise CompareError(f"{settings.run} can't be compared with itself: name another run of the same plan in compare_with.")
    other = Run(named)
    for run in (other, tables.run):
        if not read_manifest(run).has("filtering"):
            raise CompareError(f"{run.dir} has not been made and filtered yet: run 01_generate and 02_filter with RUN={run.settings.run}.")
    _require_same_plan(other, tables.run)
    others = read_tables(other.as_filtered)
    one, two = (each.first_pass.set_index("id") for each in (tables, others))
    common = one.index.intersection(two.index)
    one_here, two_here = one.loc[common], two.loc[common]
    cells = list(zip(one_here["kept"].astype(bool), two_here["kept"].astype(bool), strict=True))
    same_question = one_here["question_id"] == two_here["question_id"]
    return Comparison(
        run=settings.run,
        other=named.run,
        pairs=Pairs(cells.count((True, True)), cells.count((True, False)), cells.count((False, True)), cells.count((False, False))),
        same_question=int(same_question.sum()),
        same_response=int((same_question & (one_here["response_id"] == two_here["response_id"])).sum()),
        unpaired=len(one.index.symmetric_difference(two.index)),
        changed=dict(_changed(other, tables.run)),
        measures=tuple(_measures(others, tables)),
    )


def _require_same_plan(other: Run, this: Run) -> None:
    one, two = other.made_with, this.made_with
    # A plan with fewer seeds is the beginning of one with more.
    different = [name for name in Settings.names_of("plan") if name != "num_seeds" and getattr(one, name) != getattr(two, name)]
    files, others = (read_manifest(run).generation.inputs_sha256 for run in (other, this))
    different += [f"the {name} file" for name in ("seeds", "topics") if files.get(name) != others.get(name)]
    if different:
        names, runs = ", ".join(different), f"{other.settings.run} and {this.settings.run}"
        raise CompareError(f"{runs} have different plans ({names} differ): only runs of one plan can be compared.")


def _changed(other: Run, this: Run) -> Iterator[tuple[str, tuple[str, str]]]:
    one, two = (run.made_with.model_dump(mode="json") for run in (other, this))
    for name in sorted(two.keys() - WITHOUT_EFFECT):
        if one[name] != two[name]:
            yield name, (str(one[name]), str(two[name]))
    first, second = (_prompts(run) for run in (other, this))
    for stage, digest in sorted(second.items()):
        if first.get(stage) != digest:
            yield f"prompt of {stage}", (str(first.get(stage))[:8], digest[:8])


def _prompts(run: Run) -> dict[str, str]:
    """Return the digest of each prompt that the run's samples and evaluations were made with."""
    made, judged = section_of(run, "generation", made_by="01_generate"), section_of(run, "judging", made_by="02_filter")
    return made.prompt_sha256 | judged.prompt_sha256


def _measures(other: Tables, this: Tables) -> Iterator[tuple[str, str, str]]:
    one, two = trust(other), trust(this)
    yield "kept", str(one.kept), str(two.kept)
    dropped = [f"{sum(found.verifier.dropped.values()):,} of {found.verifier.passed.total:,}" for found in (one, two)]
    yield "scenarios dropped by the verifier", dropped[0], dropped[1]
    caught = [found.verifier.catch_line.partition(": ")[2] for found in (one, two)]
    yield "wrong explanations caught", caught[0], caught[1]
    yield "planted failures caught", one.catch_line.partition(": ")[2], two.catch_line.partition(": ")[2]
    costs = [tables.manifest.filtering.cost_usd_a_kept_sample for tables in (other, this)]
    reuses = [bool(tables.run.made_with.scenarios_from) for tables in (other, this)]
    shown = ["–" if cost is None or free else f"{cost:.4f}" for cost, free in zip(costs, reuses, strict=True)]
    yield f"US dollars a kept sample{' (not of a run that had its scenarios from another)' if any(reuses) else ''}", shown[0], shown[1]
    columns = [variety_table(tables).set_index("measure")["kept"] for tables in (other, this)]
    for name in columns[1].index:
        values = [str(column.get(name, "–")) for column in columns]
        if name != "samples" and values != ["–", "–"]:
            yield f"kept: {name}", values[0], values[1]
