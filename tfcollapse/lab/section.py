"""Hold what one part of the lab reports: checks, and the numbers that its figure draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfcollapse.theory.checks import FAILS, Check


@dataclass(frozen=True)
class Section:
    """One part of the lab: a proposition or a section of the paper, with its checks.

    Attributes:
      name: the name of the section on the command line.
      title: the title of its figure and of its part of the page.
      reading: a few sentences that say what the paper claims and what was found.
      checks: the checks, in the order of the argument.
      curves: the numbers that the figure draws, as JSON has them.
      settings: the data and the sizes, by name.
    """

    name: str
    title: str
    reading: str
    checks: list[Check]
    curves: dict[str, Any]
    settings: dict[str, Any]

    @property
    def failed(self) -> list[Check]:
        """Return the checks that do not hold."""
        return [check for check in self.checks if check.verdict == FAILS]
