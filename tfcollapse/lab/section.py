"""What one part of the lab hands on: checks, and the numbers that its figure draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcollapse.theory.checks import FAILS, Check


@dataclass(frozen=True)
class Section:
    """A proposition, checked.

    Attributes:
      name: what the command line calls it.
      title: of its figure and its part of the page.
      reading: a few sentences that say what the paper claims and what was found.
      checks: in the order of the argument.
      curves: what the figure draws, as JSON has it.
      settings: data and sizes, by name.
    """

    name: str
    title: str
    reading: str
    checks: list[Check]
    curves: dict[str, Any]
    settings: dict[str, Any]

    @property
    def failed(self) -> list[Check]:
        """The checks that do not hold."""
        return [check for check in self.checks if check.verdict == FAILS]
