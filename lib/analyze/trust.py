"""planted failures, verdicts and people's labels -> how far the judge, and so the keep rate, can be trusted."""

from dataclasses import dataclass
from typing import Any

from lib.analyze.catches import Catches, FalseAlarms, caught_of
from lib.analyze.corrected import ASSUMED, FROM_HARMLESS, RECOGNISED_BY_PEOPLE, GoodRate, corrected_rate
from lib.analyze.panel import OneByOne, Panel, one_by_one, panel
from lib.analyze.people import Agreement, agreement
from lib.analyze.rates import Share
from lib.analyze.strata import Estimated
from lib.analyze.tables import Tables, share_kept
from lib.analyze.verifier import Verifier, verifier
from lib.analyze.warnings import about_catches, about_labels, about_quotes, about_the_keep_rate
from lib.llm.names import plain_id
from lib.settings import FEWEST_PLANTED

NO_BETTER = "the judge tells good from bad no better than a guess"
NEARLY_ANYTHING = "so little is known of the judge that nearly any share of them may be good"
CLEARLY_BETTER = 0.1  # of catches and recognised good responses together, above the 1 that a guess has
CONTRADICTION = "what was measured of the judge contradicts it"
SAME_MODEL = (
    "The judge is the same model as the generator: models pass their own failed criteria more often (arXiv 2604.06996). "
    "Set JUDGE_MODEL to another."
)


@dataclass(frozen=True, slots=True)
class Trust:
    """What is known of the judge."""

    models: tuple[str, ...]
    own_judge: bool  # true when the generator judged its own samples
    notice: str
    kept: Share  # of the first pass
    passed: Share  # of the judged samples of the first pass, those that the judge passes
    catches: Catches
    false_alarms: FalseAlarms
    planted: int  # some of them may be unjudged
    unfound: Share  # of the quotes, those that do not stand in the response
    flipped: Share  # of the verdicts, those whose votes differ
    voted_again: Share  # of the judged samples, those that were close and judged again
    people: Agreement | None
    panel: Panel | None  # None when one judge judged
    one_by_one: OneByOne | None  # None when no criterion was asked for alone
    verifier: Verifier

    @property
    def all_caught(self) -> Share:
        """The planted failures that were caught, of those whose original the judge passes."""
        return self.catches.caught

    @property
    def caught(self) -> dict[str, Share]:
        """The same, by kind of spoiling."""
        return {kind: caught_of(pairs) for kind, pairs in self.catches.by_kind.items()}

    @property
    def good(self) -> GoodRate:
        """What is known of the share of samples that is truly good."""
        by_people = self.people.sensitivity if self.people else None
        held = self.false_alarms.held
        planted = corrected_rate(self.passed, caught=self.catches.dropped, recognised=by_people or held) if self.catches.is_enough else None
        recognised_by = RECOGNISED_BY_PEOPLE if by_people else FROM_HARMLESS if held else ASSUMED
        return GoodRate(from_labels=self.people.good if self.people else None, from_planted=planted, assumption=recognised_by)

    @property
    def corrected(self) -> Estimated | None:
        return self.good.best

    @property
    def catch_line(self) -> str:
        """The line that stands beside every keep rate."""
        return self.catches.line

    @property
    def corrected_line(self) -> str:
        if not self.passed.rate or not (self.catches.is_enough or self.corrected):
            return ""
        if self.corrected is None:
            return f"pass rate {self.passed.rate:.1%} can't be corrected: {self._why_not_corrected}"
        estimate, low, high = self.corrected
        how = "by people's labels" if self.good.from_labels else "corrected for its errors"
        good = f"{estimate:.1%} are good" if self.good.from_labels else f"{estimate:.1%}"
        return f"the judge passes {self.passed.rate:.1%}; {how} {good} (95 % interval {low:.0%} to {high:.0%})"

    @property
    def _why_not_corrected(self) -> str:
        if self.good.from_planted:
            return NEARLY_ANYTHING
        recognised = (self.people.sensitivity if self.people else None) or self.false_alarms.held
        q0, q1 = self.catches.dropped.rate or 0.0, recognised.hits / recognised.total if recognised and recognised.total else 1.0
        return NO_BETTER if q0 + q1 - 1 < CLEARLY_BETTER else CONTRADICTION

    @property
    def warnings(self) -> list[str]:
        """What a reader of the keep rate must know."""
        if self.notice:  # it says that verdicts are chance
            return [self.notice]
        return [
            *([SAME_MODEL] if self.own_judge else []),
            *about_the_keep_rate(self.kept, caught=self.all_caught),
            *about_catches(self.catches, planted=self.planted),
            *about_labels(self.good.from_labels, passed=self.passed),
            *about_quotes(self.unfound),
            *self.verifier.warnings,
        ]

    def __str__(self) -> str:
        lines = [self.corrected_line] if self.corrected_line else []
        lines += [f"  {line}" for line in self.good.assumptions] if self.corrected else []
        lines.append(f"evidence quoted {self.unfound.total:,} times, not found in the response {self.unfound.hits:,} times")
        if self.voted_again.hits:
            lines.append(f"close, and judged again: {self.voted_again}")
        if self.flipped.total:
            lines.append(f"criteria on which the votes differ{', in these samples' if self.voted_again.hits else ''}: {self.flipped}")
        lines += self.people.lines if self.people else []
        lines += self.good.lines
        lines += self.measured
        if not self.catches.is_enough:
            lines.append(f"too few failures were planted to tell how good the judge is: at least {FEWEST_PLANTED} are needed")
        return "\n".join([*lines, str(self.verifier)])

    @property
    def measured(self) -> list[str]:
        """What planted failures, harmless copies and a panel show, in sentences."""
        lines = [self.catches.difference_line, *self.catches.grade_lines, self.false_alarms.line]
        lines += self.panel.lines if self.panel else []
        lines += self.one_by_one.lines if self.one_by_one else []
        return [line for line in lines if line]

    def rows(self) -> list[dict[str, Any]]:
        """Return the kinds of planted failures as rows of a table."""
        return self.catches.rows() + self.verifier.rows()

    @property
    def further_tables(self) -> list[list[dict[str, Any]]]:
        """The judges of a panel as rows of a table."""
        return [self.panel.rows()] if self.panel else []

    def as_record(self) -> dict[str, Any]:
        """Return what `filtering_statistics.json` holds under `judge`."""
        planted = {"total": "original_passes", "hits": "caught"}
        return {
            "models": list(self.models),
            "same_model_as_generator": self.own_judge,
            "planted": self.all_caught.as_record("catch_rate", **planted),
            "planted_by_kind": {kind: share.as_record("catch_rate", **planted) for kind, share in self.caught.items() if share.total},
            "planted_pairs": self.catches.as_record(),
            "harmless": self.false_alarms.as_record(),
            "too_few_to_tell": not self.catches.is_enough,
            "pass_rate": self.passed.as_record("pass_rate", total="judged", hits="passed"),
            **self.good.as_record(),
            "evidence": {"quoted": self.unfound.total, "not_found": self.unfound.hits},
            "judged_again": self.voted_again.as_record("share", total="judged", hits="again"),
            "votes": self.flipped.as_record("flip_rate", total="criteria", hits="flipped"),
            "people": self.people.as_record() if self.people else None,
            "panel": self.panel.as_record() if self.panel else None,
            "one_criterion_a_call": self.one_by_one.as_record() if self.one_by_one else None,
        }


def _judges_its_own(judges: str, writers: tuple[str, ...]) -> bool:
    """Whether one of the judges, which have commas between them, is one of the writers."""
    return not {plain_id(judge) for judge in judges.split(", ")}.isdisjoint(map(plain_id, writers))


def trust(tables: Tables) -> Trust:
    """Return what the tables, and people's labels where there are any, show of the judge. Raises ReviewError for an unusable sheet."""
    samples, judged, verdicts, manifest = tables.samples, tables.judged, tables.verdicts, tables.manifest
    first = tables.first_pass.loc[tables.first_pass["critical_total"].notna(), ["kept"]]
    quoted, voted = verdicts["evidence_found"].dropna(), verdicts["flipped"].dropna()
    return Trust(
        models=tuple(sorted({model for names in judged["judge"].unique() for model in names.split(", ")})),
        own_judge=any(_judges_its_own(*row) for row in zip(judged["judge"], judged["writers"], strict=True)),
        notice=manifest.generation.notice or manifest.judging.notice,
        kept=tables.first_kept,
        passed=share_kept(first),
        catches=tables.catches,
        false_alarms=tables.false_alarms,
        planted=manifest.judging.planted.get("total", 0),
        unfound=Share(int((~quoted.astype(bool)).sum()), len(quoted)),
        flipped=Share(int(voted.astype(bool).sum()), len(voted)),
        voted_again=Share(
            int((judged["votes"].astype(int) > 1).sum()) if manifest.judging.settings.get("votes", 1) == 1 else 0, len(judged)
        ),
        verifier=verifier(tables),
        panel=panel(tables),
        one_by_one=one_by_one(tables),
        people=agreement(tables.run, samples=samples, verdicts=verdicts),
    )
