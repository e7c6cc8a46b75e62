"""The seed file and the topic file of a run -> its plan: which samples are to be made."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from lib.errors import KitError, counted
from lib.generate.plan import control_id, plan, planned_cells, slot_id
from lib.generate.seeds import SeedFile, read_seeds
from lib.generate.topics import Topics, kinds_without_topic, read_topics
from lib.prompts.rendering import Prompt, scenario_prompt
from lib.run.files import is_file, sha256_of
from lib.run.manifest import Section, read_manifest
from lib.run.run import Run
from lib.schema import Seed, Slot
from lib.settings import Settings, from_root
from lib.taxonomy import SUBJECTS, label

SHOWN = 8  # slots


@dataclass(frozen=True)
class Plan:
    """The slots of a run, in order. They are made anew each time the plan is iterated, because a plan may be long."""

    settings: Settings
    seed_file: SeedFile = field(repr=False)
    topics: Topics = field(repr=False)

    def __iter__(self) -> Iterator[Slot]:
        return plan(self.settings, seeds=self.seed_file.seeds, topics=self.topics)

    def __len__(self) -> int:
        return self.settings.planned_samples + self.settings.planned_controls

    @property
    def ids(self) -> Iterator[str]:
        """The ids of the slots that are no controls. They take far less time than the slots."""
        return (slot_id(number, self.settings) for number in range(self.settings.planned_samples))

    @property
    def control_ids(self) -> Iterator[str]:
        return map(control_id, range(self.settings.planned_controls))

    def first(self, count: int) -> list[Slot]:
        return list(islice(self, count))

    def seed_of(self, slot: Slot) -> Seed:
        """Return the seed that the slot's sample is modelled on."""
        return self._seeds[slot.seed_row]

    @cached_property
    def _seeds(self) -> dict[int, Seed]:
        return {seed.row: seed for seed in self.seed_file.seeds}

    @property
    def first_prompt(self) -> Prompt:
        """The prompt of the first scenario, exactly as it is sent."""
        (slot,) = self.first(1)
        return scenario_prompt(slot, self.seed_of(slot))

    @property
    def remarks(self) -> list[str]:
        """What a person should know about the two files."""
        found, settings = [*self.seed_file.remarks], self.settings
        if (have := len(self.seed_file.seeds)) < settings.num_seeds:
            found.append(f"{settings.num_seeds} seeds were asked for and {have} are usable: seeds are reused in turn.")
        if without := [subject for subject in settings.subjects if subject not in self.topics]:
            found.append(f"topics_csv has no topics for {', '.join(without)}: the model chooses them.")
        if unused := [name for name in self.topics if name not in settings.subjects and name not in SUBJECTS]:
            found.append(f"topics_csv has topics for {', '.join(unused[:5])}, which SUBJECTS does not name: they are not used.")
        if unfit := kinds_without_topic(self.topics, subjects=settings.subjects, kinds=settings.misconception_types):
            found.append(f"topics_csv has no topic that carries {', '.join(unfit[:5])}: any topic of the subject was taken.")
        return found

    def __str__(self) -> str:
        planned, controls = self.settings.planned_samples, self.settings.planned_controls
        cells = planned_cells(self.settings, planned)
        lines = []
        for place, name in enumerate(("subject", "misconception type")):
            counts: Counter[str] = Counter()
            for cell, count in cells.items():
                counts[cell[place]] += count
            lines.append(f"{counted(planned, 'slot')} over {counted(len(counts), name)}, each {_span(counts.values())}")
        lines.append(f"{counted(len(cells), 'cell')} of subject and kind, each {_span(cells.values())}")
        if controls:
            lines.append(f"{counted(controls, 'control')} beyond the plan, in which the student is right or asks an open question")
        return "\n".join(lines)

    def rows(self) -> list[dict[str, Any]]:
        """Return the first slots as rows of a table."""
        return [
            {"id": slot.id, "seed row": slot.seed_row, "subject": label(slot.subject), "misconception": label(slot.misconception_type)}
            | {"topic": slot.topic, "level": label(slot.level), "student": slot.student.voice}
            for slot in self.first(SHOWN)
        ]


def read_plan(run: Run) -> Plan:
    """Return the plan of the run's settings. Raises SeedFileError or TopicFileError when a file can't be used."""
    settings = run.settings
    seed_file = read_seeds(from_root(settings.seeds_csv), on_bad_row=settings.on_bad_row)
    return Plan(settings, seed_file, read_topics(from_root(settings.topics_csv)))


def seeds_as_used(run: Run) -> SeedFile | None:
    """Return the seed file that the run's samples were made from, or None when it is gone or has changed since."""
    path = from_root(run.as_made.settings.seeds_csv)
    if not is_file(path) or sha256_of(path) != read_manifest(run).generation.inputs_sha256.get("seeds"):
        return None
    try:
        return read_seeds(path, on_bad_row="skip")
    except KitError:
        return None


def what_differs(run: Run, made: Section, *, inputs_sha256: dict[str, str], may_shrink: bool = False) -> Iterator[str]:
    """Yield in what the run's plan is another one than that of recorded samples.

    More seeds than there were make no difference, and fewer make none when the plan `may_shrink`.
    """
    now = run.settings.model_dump(mode="json")
    for name in Settings.names_of("plan"):
        was, wanted = made.settings.get(name, now[name]), now[name]
        if was != wanted and not (name == "num_seeds" and (may_shrink or was < wanted)):
            yield f"other {name}" if isinstance(wanted, list) else f"{name} was {was} and is {wanted}"
    for name, digest in inputs_sha256.items():
        if made.inputs_sha256.get(name, digest) != digest:
            yield f"the {name} file is another one"


def _span(counts: Iterable[int]) -> str:
    low, high = min(values := list(counts)), max(values)
    return f"{low} to {high} times" if low != high else "once" if low == 1 else f"{low} times"
