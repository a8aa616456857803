"""The spec of dense networks with identity shortcuts around their hidden layers (He et al. 2016)."""

from __future__ import annotations

import dataclasses

from tfcollapse.config.architectures.dense import DENSE

RESIDUAL_DENSE = dataclasses.replace(DENSE, name="residual_dense")
"""The products are those of a dense network of the same size: an addition a layer is all that is new.

Without a second hidden layer there is nothing to go round: at depths 0 and 1 it computes what the dense network does.
Where the branches give nothing but zeros the network is the one of depth 1. Wide enough, it can represent a linear map.

Not measured: what was measured of the dense networks on a CPU is taken to hold here too.
"""
