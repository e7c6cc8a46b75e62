"""Tables -> what the verifier dropped and recomputed, and how many wrong explanations it catches."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from lib.analyze.catches import TOO_FEW
from lib.analyze.rates import Share
from lib.analyze.tables import Tables, caught_by, total_of
from lib.errors import counted
from lib.generate.verify import DROP_REASONS
from lib.settings import FEWEST_PLANTED
from lib.taxonomy import label

SAME_MODEL = "The verifier is the same model as the writer, and models overlook their own mistakes. Set VERIFIER_MODEL to another."
LOW_CATCH_RATE = 0.60  # of the interval's lower end


@dataclass(frozen=True, slots=True)
class Verifier:
    """What is known of the verifier. All of it is empty when scenarios were not verified."""

    models: tuple[str, ...]
    own_verifier: bool  # true when the writer verified its own scenarios
    passed: Share  # of the scenarios that were verified
    dropped: dict[str, int]  # scenarios by reason
    caught: dict[str, Share]  # of the explanations that were made wrong on purpose, by the kind of error
    equations: int  # that were recomputed, in the scenarios that passed
    not_computed: int  # that could not be evaluated
    criteria_removed: int

    @property
    def catch_line(self) -> str:
        """The line that stands beside the number of scenarios that passed."""
        share = total_of(self.caught)
        if not share.total:
            return "wrong explanations caught: none were planted, so nothing is known of the verifier"
        return f"wrong explanations caught by the verifier: {share}{'' if share.total >= FEWEST_PLANTED else f'; {TOO_FEW}'}"

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before relying on the verifier."""
        caught, same = total_of(self.caught), [SAME_MODEL] if self.own_verifier else []
        if caught.total < FEWEST_PLANTED or (caught.interval or (1.0, 1.0))[0] >= LOW_CATCH_RATE:
            return same
        weak = f"The verifier caught only {caught.hits} of {caught.total} wrong explanations. Set VERIFIER_MODEL to a stronger one."
        return [*same, weak]

    def __str__(self) -> str:
        if not self.passed.total:
            return "Scenarios were not verified."
        lines = [f"{self.passed.total:,} scenarios were verified, {sum(self.dropped.values()):,} of them dropped before their response"]
        lines.append(f"{counted(self.equations, 'equation')} recomputed and right, {self.not_computed:,} that can't be evaluated")
        if self.criteria_removed:
            lines.append(
                f"{counted(self.criteria_removed, 'unfair criterion', plural='unfair criteria')} taken out of the scenarios that passed"
            )
        return "\n".join([*lines, self.catch_line])

    def rows(self) -> list[dict[str, Any]]:
        """Return the kinds of error as rows of the table of planted failures."""
        return [
            {
                "planted failure": f"explanation: {label(kind).lower()}",
                "grade": "plain",
                "planted": share.total,
                "original passes": share.total,  # only copies of explanations that the verifier passes are asked about
                "caught": share.hits,
                "catch rate": share.short,
            }
            for kind, share in self.caught.items()
        ]

    def as_record(self) -> dict[str, Any]:
        """Return what `filtering_statistics.json` holds under `verifier`."""
        names = {"total": "planted", "hits": "caught"}
        return {
            "models": list(self.models),
            **self.passed.as_record("pass_rate", total="verified", hits="passed"),
            "dropped": self.dropped,
            "planted": total_of(self.caught).as_record("catch_rate", **names),
            "planted_by_error": {kind: share.as_record("catch_rate", **names) for kind, share in self.caught.items()},
            "equations_recomputed": self.equations,
            "equations_not_computed": self.not_computed,
            "criteria_removed": self.criteria_removed,
        }


def verifier(tables: Tables) -> Verifier:
    """Return what the tables show of the verifier."""
    verified = tables.samples[tables.samples["verified"].astype(bool) & (tables.samples["origin"] != "repair")]
    counts = Counter(tables.scenarios["reason"])
    return Verifier(
        models=tuple(sorted(set(verified["verifier"]))),
        own_verifier=any(name in writers for name, writers in zip(verified["verifier"], verified["writers"], strict=True)),
        passed=Share(len(verified), len(verified) + len(tables.scenarios)),
        dropped={reason: counts[reason] for reason in DROP_REASONS if counts[reason]},
        caught=caught_by(tables.misstated, "misstating"),
        equations=int(verified["equations"].sum()),
        not_computed=int(verified["not_computed"].sum()),
        criteria_removed=int(verified["criteria_removed"].sum()),
    )
