"""A filtered run -> its tables, read once: a row a sample, a verdict, a planted failure, a dropped scenario, a wrong explanation.

All that notebook 3 and the data card show is a function of these tables. They hold no texts but short ones, so that a run of a million
samples fits into memory. Of the responses, at most twice MOST_COMPARED are kept, evenly spaced, to measure variety.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lib.analyze.catches import Catches, FalseAlarms, catches
from lib.analyze.copy_rows import COPY_COLUMNS, copy_row
from lib.analyze.rates import Share
from lib.analyze.rows import SAMPLE_COLUMNS, SCENARIO_COLUMNS, VERDICT_COLUMNS, Rows, sample_row, scenario_row, verdict_rows
from lib.filter.keep import Copies, judged_samples
from lib.generate.dealing import HARMLESS, SPOILINGS
from lib.generate.verify import WRONG_EXPLANATION
from lib.run.manifest import Manifest, read_manifest
from lib.run.records import dropped_scenarios, planted_explanations
from lib.run.run import Run
from lib.schema import Sample

if TYPE_CHECKING:
    import pandas as pd

MOST_COMPARED = 1000  # responses compared pairwise
TOPPED_UP = {"top_up": "further samples", "repair": "repaired ones"}  # the origins of what topping up made, in words
EMBEDDED = "EMBEDDED MODEL: proves that the pipeline runs, not training data"


class Responses:
    """Evenly spaced responses, by sample id. When there are too many, every second one is removed."""

    def __init__(self) -> None:
        self.by_id: dict[str, str] = {}
        self._step = 1

    def add(self, number: int, sample: Sample) -> None:
        if number % self._step:
            return
        self.by_id[sample.id] = sample.response
        if len(self.by_id) > 2 * MOST_COMPARED:
            self.by_id = dict(list(self.by_id.items())[::2])
            self._step *= 2


@dataclass(frozen=True)
class Tables:
    """The tables of one run, and the few facts that stand in no table."""

    run: Run
    manifest: Manifest
    samples: "pd.DataFrame"
    verdicts: "pd.DataFrame"
    planted: "pd.DataFrame"
    harmless: "pd.DataFrame"  # copies of another form
    scenarios: "pd.DataFrame"  # those that the verifier dropped
    misstated: "pd.DataFrame"  # explanations that were made wrong on purpose
    responses: dict[str, str]

    @cached_property
    def kept(self) -> Share:
        """Kept ÷ made, of all samples."""
        return share_kept(self.samples)

    @cached_property
    def first_pass(self) -> "pd.DataFrame":
        """The samples of the plan and the controls.

        Every keep rate that people see is of these. Topping up refills a cell until a sample of it is kept, and repairs only what was
        dropped, so it biases the rate of all samples.
        """
        return rows_where(self.samples, ~self.samples["origin"].isin(TOPPED_UP))

    @cached_property
    def first_kept(self) -> Share:
        """Kept ÷ made, of the first pass."""
        return share_kept(self.first_pass)

    @cached_property
    def topped_up(self) -> dict[str, Share]:
        """Kept ÷ made of what topping up made, by origin. It is empty when the run was not topped up."""
        groups = self.samples[self.samples["origin"].isin(TOPPED_UP)].groupby("origin")
        return {str(origin): share_kept(group) for origin, group in groups}

    @property
    def topped_up_line(self) -> str:
        """The line on topping up that stands beside the rates of the first pass, or ""."""
        parts = [f"{share.hits:,} of {share.total:,} {TOPPED_UP[origin]}" for origin, share in reversed(self.topped_up.items())]
        return f"topped up: {' and '.join(parts)} kept" if parts else ""

    @cached_property
    def judged(self) -> "pd.DataFrame":
        """The samples that have verdicts."""
        return rows_where(self.samples, self.samples["critical_total"].notna())

    @cached_property
    def catches(self) -> Catches:
        """How many planted failures of each kind the judge caught, which means that the spoiled copy would not be kept."""
        return catches(self.planted, kinds=SPOILINGS)

    @cached_property
    def false_alarms(self) -> FalseAlarms:
        """How often the judge drops what it passed, in a form that says the same."""
        return FalseAlarms(catches(self.harmless, kinds=HARMLESS).pairs)

    @property
    def note(self) -> str:
        """The lines above every figure. They name the run, its date, the models as returned, and how many planted failures were caught."""
        name = self.run.settings.run
        if not len(self.samples):
            return f"run {name}: no samples"
        first = self.samples.iloc[0]
        judge = f", judged by {first['judge']}" if first["judge"] else ""
        notice = f"  ·  {EMBEDDED}" if first["notice"] else ""
        made = f"{self.manifest.generation.finished[:10]}  ·  written by {', '.join(first['writers'])}"
        return f"run {name}  ·  {made}{judge}{notice}\n{self.catches.line}"


def rows_where(table: "pd.DataFrame", chosen: "pd.Series[bool]") -> "pd.DataFrame":
    """Return the chosen rows, and the table itself when they are all, because a copy of a large table is large."""
    return table if chosen.all() else table[chosen]


def share_kept(samples: "pd.DataFrame") -> Share:
    return Share(int(samples["kept"].sum()), len(samples))


def caught_by(copies: "pd.DataFrame", column: str) -> dict[str, Share]:
    """Return by the values of a column how many of the copies were caught."""
    groups = copies.groupby(column)["caught"]
    return {str(name): Share(int(group.astype(bool).sum()), len(group)) for name, group in groups}


def total_of(caught: dict[str, Share]) -> Share:
    return Share(sum(share.hits for share in caught.values()), sum(share.total for share in caught.values()))


def read_tables(run: Run) -> Tables:
    """Read the run's files once. Raises RunError when the run has not been filtered, or when its files don't belong together."""
    import pandas as pd

    copies, responses = Copies(run), Responses()
    samples, verdicts, planted, harmless = (Rows(names) for names in (SAMPLE_COLUMNS, VERDICT_COLUMNS, COPY_COLUMNS, COPY_COLUMNS))
    for number, judged in enumerate(judged_samples(run)):
        samples.add([sample_row(judged)])
        verdicts.add(verdict_rows(judged))
        responses.add(number, judged.sample)
        for copy in copies.of(judged.sample):
            rows = harmless if copy.spoiling in HARMLESS else planted
            rows.add([copy_row(copy, judged, settings=run.settings)])
    copies.require_none_left()
    return Tables(
        run=run,
        manifest=read_manifest(run),
        samples=samples.table(),
        verdicts=verdicts.table(),
        planted=planted.table(),
        harmless=harmless.table(),
        scenarios=pd.DataFrame([scenario_row(scenario) for scenario in dropped_scenarios(run)], columns=SCENARIO_COLUMNS),
        misstated=pd.DataFrame(
            [
                {"id": copy.id, "misstating": copy.misstating, "caught": copy.reason in WRONG_EXPLANATION}
                for copy in planted_explanations(run)
            ],
            columns=["id", "misstating", "caught"],
        ),
        responses=responses.by_id,
    )
