"""Another run of the same plan -> its scenarios, so that a change of what follows them is measured on the same questions.

A scenario that was verified, or dropped, is taken as it stands in that run's files. Only its response is asked for.
"""

from dataclasses import dataclass

from lib.generate.inputs import what_differs
from lib.llm.ask import Asker
from lib.prompts.answers import GoldAnswer
from lib.prompts.rendering import gold_prompt, gold_template, template_sha256
from lib.run.files import RunError
from lib.run.manifest import read_manifest
from lib.run.records import ById, planted_explanations
from lib.run.run import Run
from lib.schema import DroppedScenario, PlantedExplanation, Sample, Slot


@dataclass(frozen=True, slots=True)
class Scenarios:
    """The scenarios of another run, by the id of their slot."""

    samples: ById[Sample]
    dropped: ById[DroppedScenario]
    misstated: dict[str, PlantedExplanation]

    def __len__(self) -> int:
        return len(self.samples) + len(self.dropped)

    async def sample_of(self, ask: Asker, slot: Slot) -> tuple[Sample | DroppedScenario | PlantedExplanation, ...]:
        """Return the slot's scenario with a new response, or as it was dropped. The result is empty when the other run has none.

        Raises CallFailed when the response can't be had.
        """
        if scenario := self.dropped.get(slot.id):
            return (scenario,)
        if not (sample := self.samples.get(slot.id)):
            return ()
        planted = self.misstated.get(slot.id)
        return (await _answered_anew(ask, slot, sample=sample), *([planted] if planted else []))


async def _answered_anew(ask: Asker, slot: Slot, *, sample: Sample) -> Sample:
    about = sample.metadata
    prompt = gold_prompt(slot, about, rubrics=about.rubrics if ask.settings.show_rubrics_to_tutor else ())
    gold = await ask("gold", slot.id, prompt=prompt, answer=GoldAnswer)
    lineage = {
        "style": slot.style,
        "provider": ask.provider("gold").id,
        "notice": about.notice or ask.provider("gold").notice,
        "models": about.models | {"gold": gold.model},
        "prompt_sha256": about.prompt_sha256 | {"gold": template_sha256(gold_template(slot))},
    }
    return sample.with_response(gold.answer.response, metadata=about.model_copy(update=lineage))


def scenarios_of(run: Run, *, inputs_sha256: dict[str, str]) -> Scenarios | None:
    """Return the scenarios that `scenarios_from` names, or None when it names no run.

    Raises RunError when that run is not there, is this run, or has another plan.
    """
    if not (other := run.source):
        return None
    name, recorded = other.settings.run, read_manifest(other).generation
    if not recorded.settings:
        raise RunError(f"scenarios_from: there is no finished run {name} in {run.settings.outputs_dir}. `make runs` lists them.")
    if other.dir == run.dir:
        raise RunError(f"scenarios_from: {name} is this run. Give this one another RUN name.")
    if differs := list(what_differs(run, recorded, inputs_sha256=inputs_sha256, may_shrink=True)):
        raise RunError(f"scenarios_from: {name} has another plan ({'; '.join(differs)}), so its scenarios do not fit these slots.")
    return Scenarios(
        samples=ById(other.generated, Sample, made_by="01_generate"),
        dropped=ById(other.dropped_scenarios, DroppedScenario, made_by="01_generate"),
        misstated={copy.sample_id: copy for copy in planted_explanations(other)},
    )
