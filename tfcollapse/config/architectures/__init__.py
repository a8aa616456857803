"""What an architecture is: one spec a file, and the one table of them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tfcollapse.config.architectures.architecture import Architecture
from tfcollapse.config.architectures.convolutional import CONVOLUTIONAL
from tfcollapse.config.architectures.dense import DENSE
from tfcollapse.config.architectures.residual import RESIDUAL
from tfcollapse.config.architectures.residual_dense import RESIDUAL_DENSE
from tfcollapse.config.architectures.skip_dense import SKIP_DENSE

ARCHITECTURES: dict[str, Architecture] = {
    spec.name: spec for spec in (DENSE, CONVOLUTIONAL, RESIDUAL, SKIP_DENSE, RESIDUAL_DENSE)
}
"""Every architecture by its name, the value of `Network.architecture`."""

if TYPE_CHECKING:
    ArchitectureName = str
else:
    ArchitectureName = Literal[tuple(ARCHITECTURES)]
"""The type of `Network.architecture`; a declaration is checked against the names when it is made."""
