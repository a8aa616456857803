"""Test a trend over an ordered column by ranks: does a value rise, fall, or fall and then rise?"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy  # whose parts are loaded when they are first used

SIGNIFICANCE = 0.05
"""The share of random orders that may pass for a trend."""

Shape = Literal["rises", "falls", "falls, then rises"]

_PERMUTATIONS = 9_999


@dataclass(frozen=True)
class Trend:
    """What the rank test says of a shape.

    Attributes:
      p: the share of random orders that show the shape at least as well as these values.
      opposite: the same for the opposite shape.
      least: the smallest p that values without ties could have in so few blocks.
      turn: the place of the turning point, from 0; the lower end where the shape has none.
    """

    p: float
    opposite: float
    least: float
    turn: int

    @property
    def sign(self) -> int:
        """Return 1 where the shape is significant, -1 where the opposite shape is, and 0 where neither is."""
        return 1 if self.p <= SIGNIFICANCE else -1 if self.opposite <= SIGNIFICANCE else 0


def rank_test(blocks: np.ndarray, shape: Shape) -> Trend:
    """Test a shape by ranks within blocks, such as seeds or data sets.

    The null hypothesis is that every order of the values of a block is equally likely. Its distribution is exact where
    there are few orders, and otherwise that of 9,999 seeded permutations. Ties keep their ranks in every permutation.

    A rise is tested by Page's L, the sum over blocks of place times rank (Page 1963). `scipy.stats.page_trend_test`,
    which agrees, takes neither one block nor ties. A fall followed by a rise is tested as Mack and Wolfe (1981) test an
    umbrella whose peak is unknown, upside down: for every turning point they count the pairs that lie as the shape
    says, and take the best turning point. Here the count is divided by the number of pairs, so that every perfect shape
    is equally extreme. The opposite shape is a rise followed by a fall, or, where the best turning point is at an end,
    the monotone order that this is.

    One block of 6 values can show a fall followed by a rise (30 of its 720 orders do). One block of 5 cannot: 14 of 120
    orders are more than 5%.

    Args:
      blocks: [blocks, places], at least one block and two places.
      shape: the shape, in the order of the places.
    """
    if shape == "falls":
        return rank_test(-blocks, "rises")
    count = blocks.shape[1]
    ranks = scipy.stats.rankdata(blocks, axis=1)
    statistic = _pages_l if shape == "rises" else _best_share
    p, opposite, least = _p(statistic, ranks), _p(statistic, -ranks), _least(statistic, *blocks.shape)
    if shape == "rises":
        return Trend(p, opposite, least, 0)
    turn = int(_shares(*ranks).argmax())
    if turn in (0, count - 1):
        p, opposite = 1.0, _p(_pages_l, ranks if turn == 0 else -ranks)
    return Trend(p, opposite, least, turn)


@functools.cache
def _least(statistic: Callable[..., Any], blocks: int, places: int) -> float:
    """Return the p of values that show the shape of `statistic` in every block, which is the smallest."""
    return _p(statistic, np.tile(np.arange(places), (blocks, 1)))


def _p(statistic: Callable[..., Any], ranks: np.ndarray) -> float:
    """Return the share of orders within the blocks that have `statistic` at least as large as these ranks have it."""
    result = scipy.stats.permutation_test(
        tuple(ranks),
        statistic,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=_PERMUTATIONS,
        alternative="greater",
        batch=1_000,
        rng=np.random.default_rng(0),
    )
    return float(result.pvalue)


def _pages_l(*ranks: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return Page's L of blocks [..., places]."""
    summed = np.moveaxis(sum(ranks, np.zeros(())), axis, -1)
    return summed @ np.arange(1, summed.shape[-1] + 1)


def _best_share(*ranks: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the share of pairs that fall before, and rise after, the best turning point."""
    return _shares(*(np.moveaxis(block, axis, -1) for block in ranks)).max(axis=-1)


def _shares(*ranks: np.ndarray) -> np.ndarray:
    """Return, for each turning point, the mean sign of the pairs that the shape orders: 1 where all lie as it says."""
    signs = np.mean([np.sign(block[..., None, :] - block[..., :, None]) for block in ranks], axis=0)
    places = np.arange(signs.shape[-1])
    first, second, turn = places[:, None], places[None, :], places[:, None, None]
    before, after = (first < second) & (second <= turn), (first < second) & (first >= turn)
    shares = (after.astype(float) - before) / (before | after).sum(axis=(1, 2), keepdims=True)
    return np.einsum("tij,...ij->...t", shares, signs)
