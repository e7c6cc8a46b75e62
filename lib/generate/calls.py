"""A run and its plan -> the calls that each stage takes.

Topping up, further votes where a judgement is close, and answers that are asked for again are not among them.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from lib.generate.dealing import UNWRITTEN, copies_of
from lib.generate.inputs import Plan
from lib.generate.reuse import scenarios_of
from lib.generate.verify import MARK, to_misstate
from lib.llm.addresses import address
from lib.prompts.rendering import Stage
from lib.run.files import sha256_of
from lib.run.run import Run
from lib.schema import Spoiling
from lib.settings import Settings, from_root

CRITICAL_CRITERIA = 5  # that the scenario prompt asks for, the ban among them


@dataclass(frozen=True, slots=True)
class Questions:
    """What a plan asks for, by the names under which it is asked. A name is that of a slot, or of a copy of it (`slot_of`)."""

    scenarios: frozenset[str]
    misstated: frozenset[str]  # copies with a wrong explanation
    verified: frozenset[str]  # scenarios; the copies are verified too
    responses: frozenset[str]
    judged: frozenset[str]  # responses
    judged_of_plan: tuple[str, ...]  # in order, those among them that are no controls; failures are planted among these only

    def without(self, lost: Collection[str]) -> "Questions":
        """Return what is asked when these slots get no response."""
        misstated = frozenset(name for name in self.misstated if slot_of(name) not in lost)
        return replace(self, misstated=misstated, responses=self.responses.difference(lost)).not_judged(lost)

    def not_judged(self, gone: Collection[str]) -> "Questions":
        """Return what is asked when these responses are not judged."""
        of_plan = tuple(name for name in self.judged_of_plan if name not in gone)
        return replace(self, judged=self.judged.difference(gone), judged_of_plan=of_plan)

    def copies(self, settings: Settings) -> list[tuple[str, list[Spoiling]]]:
        """Return the name of the response for each copy that is judged, with what the copy may be."""
        drawn = copies_of(self.judged_of_plan, settings)
        return [(name, kinds) for name, lists in drawn.items() for kinds in lists]

    def calls(self, settings: Settings) -> dict[Stage, int]:
        """Return the number of calls of each stage, with a single judge.

        That of spoiled copies can differ where a sample does not allow its kind of copy.
        """
        copies = self.copies(settings)
        kinds = [_kind(kinds, is_first=name in self.judged_of_plan[:1]) for name, kinds in copies]
        return {
            "scenario": len(self.scenarios),
            "verify": len(self.verified) + len(self.misstated),
            "misstate": len(self.misstated),
            "gold": len(self.responses),
            "spoil": sum(kind not in UNWRITTEN for kind in kinds),
            "judge": (len(self.judged) + len(copies)) * settings.votes,
            "criterion": len(copies) * CRITICAL_CRITERIA if settings.one_criterion_a_call else 0,
        }


def questions(run: Run, plan: Plan) -> Questions:
    """Return what the plan asks for. The scenarios of another run are not asked for. Raises RunError as `scenarios_of` does."""
    settings, other = run.settings, scenarios_of(run, inputs_sha256=inputs_of(plan))
    ids = tuple(plan.ids)
    slots = frozenset((*ids, *plan.control_ids))
    lost = frozenset(name for name in slots if name in other.dropped) if other else frozenset[str]()
    scenarios = frozenset(name for name in slots - lost if name not in other.samples) if other else slots
    is_verified = settings.verify_scenarios and not address(settings, "verify").is_embedded
    copies = to_misstate(plan) if is_verified else {}
    misstated = frozenset(f"{name}{MARK}{error}" for name, error in copies.items() if name in scenarios)
    asked = Questions(scenarios, misstated, scenarios if is_verified else frozenset(), slots, slots, ids)
    return asked.without(lost) if lost else asked


def inputs_of(plan: Plan) -> dict[str, str]:
    """Return the digests of the files that the plan was read from."""
    return {"seeds": plan.seed_file.sha256, "topics": sha256_of(from_root(plan.settings.topics_csv))}


def slot_of(name: str) -> str:
    """Return the slot of a copy's name."""
    return name.rpartition(MARK)[0]


def _kind(kinds: list[Spoiling], *, is_first: bool) -> Spoiling:
    """Return the kind of a copy, as far as it is known beforehand. No response stands before the first sample's."""
    return next(kind for kind in kinds if not (is_first and kind == "other_answer"))
