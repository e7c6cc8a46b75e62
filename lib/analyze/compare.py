"""Two runs of one plan -> what the change between them did: paired keep rates, cost of a kept sample, variety."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lib.analyze.rates import mcnemar_p, paired_difference
from lib.analyze.trust import trust
from lib.analyze.variety import variety_table
from lib.errors import KitError
from lib.filter.keep import decisions
from lib.run.folder import Run, run_of
from lib.run.manifest import read_manifest, recorded_settings, section_of
from lib.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

PLAN = ("num_seeds", "samples_per_seed", "subjects", "misconception_types", "random_seed")
WITHOUT_EFFECT = {
    "run", "outputs_dir", "budget_usd", "max_concurrency", "min_call_success", "batch_poll_s", "timeout_s", "mode",
    "compare_with", "review_csv",
}  # fmt: skip


class CompareError(KitError):
    """The two runs can't be compared."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`pairs`: samples made in both runs. The four counts: kept in both, in the other run only, in this one only, in neither.

    `changed`: setting or prompt -> (the other run's, this run's). `rows`: what stands beside one another in the table.
    """

    run: str
    other: str
    both: int
    only_other: int
    only_this: int
    neither: int
    unpaired: int
    changed: dict[str, tuple[str, str]]
    rows: tuple[tuple[str, str, str], ...]

    @property
    def pairs(self) -> int:
        return self.both + self.only_other + self.only_this + self.neither

    def __str__(self) -> str:
        if not self.pairs:
            return f"{self.other} and {self.run} have no sample in common"
        difference, low, high = paired_difference(self.both, self.only_this, self.only_other, self.neither)
        p = mcnemar_p(self.only_other, self.only_this)
        sizes = f"of {self.pairs:,} pairs {self.only_this:,} are kept only in {self.run}, {self.only_other:,} only in {self.other}"
        interval = f"{difference:+.1%} (95 % interval {low:+.1%} to {high:+.1%}; McNemar's exact p = {p:.3g})"
        return f"keep rate of {self.run} beside {self.other}: {interval}; {sizes}"


def compare_runs(settings: Settings) -> Comparison | None:
    """Compare the run with `compare_with`, sample by sample; None when that names none.

    Raises CompareError when their plans differ, RunError when either has not been filtered.
    """
    if not settings.compare_with:
        return None
    other = settings.model_copy(update={"run": Path(settings.compare_with).name, "review_csv": ""})
    if other.run == settings.run:
        raise CompareError(f"{settings.run} can't be compared with itself: name another run of the same plan in compare_with.")
    manifests = tuple(read_manifest(run_of(each)) for each in (other, settings))
    for each, manifest in zip((other, settings), manifests, strict=True):
        if "filtering" not in manifest:
            raise CompareError(f"{run_of(each).dir} has not been made and filtered yet: run 01_generate and 02_filter with RUN={each.run}.")
    _require_same_plan(other, settings, manifests)
    other = other.model_copy(update={"critical_pass_threshold": manifests[0]["filtering"]["threshold"]})
    kept = tuple({sample.id: decision.status == "kept" for sample, _, decision in decisions(each)} for each in (other, settings))
    shared = kept[0].keys() & kept[1].keys()
    counts = Counter((kept[0][name], kept[1][name]) for name in shared)
    return Comparison(
        run=settings.run,
        other=other.run,
        both=counts[True, True],
        only_other=counts[True, False],
        only_this=counts[False, True],
        neither=counts[False, False],
        unpaired=len(kept[0].keys() ^ kept[1].keys()),
        changed=dict(_changed((run_of(other), run_of(settings)))),
        rows=tuple(_rows(other, settings, manifests)),
    )


def comparison_table(found: Comparison) -> "pd.DataFrame":
    """Return keep rates, judge, cost and variety of both runs beside one another."""
    import pandas as pd

    return pd.DataFrame(found.rows, columns=["measure", found.other, found.run])


def _require_same_plan(other: Settings, this: Settings, manifests: tuple[dict[str, Any], ...]) -> None:
    one, two = (recorded_settings(run_of(each)) for each in (other, this))
    different = [name for name in PLAN if getattr(one, name) != getattr(two, name)]
    files, others = (manifest["generation"]["inputs_sha256"] for manifest in manifests)
    different += [f"the {name} file" for name in ("seeds", "topics") if files.get(name) != others.get(name)]
    if different:
        names = ", ".join(different)
        raise CompareError(f"{other.run} and {this.run} have different plans ({names} differ): only runs of one plan can be compared.")


def _changed(runs: tuple[Run, Run]) -> Iterator[tuple[str, tuple[str, str]]]:
    one, two = (recorded_settings(run).model_dump(mode="json") for run in runs)
    for name in sorted(two.keys() - WITHOUT_EFFECT):
        if one[name] != two[name]:
            yield name, (str(one[name]), str(two[name]))
    first, second = map(_prompts, runs)
    for stage, digest in sorted(second.items()):
        if first.get(stage) != digest:
            yield f"prompt of {stage}", (str(first.get(stage))[:8], digest[:8])


def _prompts(run: Run) -> dict[str, str]:
    """Return the digest of each prompt that the run's samples and evaluations were made with."""
    made, judged = section_of(run, "generation", made_by="01_generate"), section_of(run, "judging", made_by="02_filter")
    return made["prompt_sha256"] | judged["prompt_sha256"]  # type: ignore[no-any-return]  # checked when read


def _rows(other: Settings, this: Settings, manifests: tuple[dict[str, Any], ...]) -> Iterator[tuple[str, str, str]]:
    one, two = trust(other), trust(this)
    yield "kept", str(one.kept), str(two.kept)
    yield "planted failures caught", one.catch_line.partition(": ")[2], two.catch_line.partition(": ")[2]
    costs = [manifest["filtering"]["cost_usd_a_kept_sample"] for manifest in manifests]
    shown = ["–" if cost is None else f"{cost:.4f}" for cost in costs]
    yield "US dollars a kept sample", shown[0], shown[1]
    columns = [variety_table(each).set_index("measure")["kept"] for each in (other, this)]
    for name in columns[1].index:
        values = [str(column.get(name, "–")) for column in columns]
        if name != "samples" and values != ["–", "–"]:
            yield f"kept: {name}", values[0], values[1]
