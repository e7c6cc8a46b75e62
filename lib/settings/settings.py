"""The settings of a run, which are its parameters and what follows from them."""

from fractions import Fraction
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from lib.settings.bounds import planned, planted_count, problem
from lib.settings.parameters import Parameters
from lib.settings.parts import Part, part_of
from lib.settings.paths import SettingsError, from_root


class Settings(Parameters):
    """All parameters of a run. `Settings.of` refuses what is misspelt or out of bounds."""

    @property
    def run_dir(self) -> Path:
        return from_root(self.outputs_dir) / self.run

    @property
    def threshold(self) -> Fraction:
        """The threshold as it was written: 0.8 is 4/5, not the nearest float."""
        return Fraction(str(self.critical_pass_threshold))

    @property
    def judges(self) -> tuple[str, ...]:
        """The models that judge, as they were written. They are several where a panel judges."""
        return tuple(self.judge_model.split(","))

    @property
    def planned_samples(self) -> int:
        return self.num_seeds * self.samples_per_seed

    @property
    def planned_controls(self) -> int:
        return planned(self.num_seeds, self.samples_per_seed, control_share=self.control_share)[1]

    @property
    def planned_planted(self) -> int:
        """How many failures are planted when every planned sample is judged."""
        return planted_count(self.planned_samples, self.planted_share)

    def changed(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults, without the run's name and place."""
        usual = type(self)()
        return {
            name: value
            for name in type(self).model_fields
            if (value := getattr(self, name)) != getattr(usual, name) and name not in ("run", "outputs_dir")
        }

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Return settings from `values`. Raises SettingsError with one line a problem."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise SettingsError("\n".join(problem(entry, cls.model_fields) for entry in error.errors())) from None

    @classmethod
    def names_of(cls, *parts: Part) -> list[str]:
        """Return the names of the settings that decide these parts of a run."""
        return [name for name, field in cls.model_fields.items() if part_of(field) in parts]

    @classmethod
    def accepts(cls, name: str, value: Any) -> bool:
        """Whether `value` alone, with every other parameter at its default, is allowed."""
        try:
            cls(**{name: value})
        except ValidationError:
            return False
        return True
