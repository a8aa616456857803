"""Prove a radius of the basin of (7) for Proposition 1, jointly in all parameters and for any data set."""

from __future__ import annotations

import numpy as np
from scipy.special import erfcx, log_ndtr

from tfcollapse.theory import arguments
from tfcollapse.theory.local_minimum import PAPER_DATA

_CELLS = 4_000
"""The number of cells on which the inequality behind `certified_radius` is bounded."""
_SLACK = 1e-8
"""How much, relative to 1 and to its logarithm, that inequality must have to spare: far above the round-off in it.

The largest round-off is in `_log_excess`, where a difference loses four digits below h = 15: 1e-11.
"""
_FAR = 15.0


def certified_radius(alpha: float, data: np.ndarray = PAPER_DATA) -> float:
    """Return a radius r within which (7) is PROVABLY lowest, jointly in all parameters.

    This is the step that Appendix B leaves out. No point with |W_j| <= r, |mu_i| <= r and |sigma_ik - 1| <= r has a
    lower energy than (7) on `data`, whatever b and gamma.

    A unit that sends a mean gains at most 2 |x| |W| |mu| T with T = P(|u| > alpha). It costs mu^2 / d, and the noise
    that it lets through: Var pi(u) >= 2 W^2 sigma^2 G with G = E[((eps - h)_+)^2] and h = alpha / (|W| sigma). This
    bound is the variance at mu = 0, and the variance grows with |mu|. As quadratics in mu, these leave no gain where
    d x^2 T^2 <= 2 gamma-bar (1 - eta) sigma^2 G. T^2 falls like exp(-h^2) and G like exp(-h^2 / 2), so such a radius
    exists for every alpha > 0 and for any data set. Interval bounds prove the inequality for all |W| and sigma of a
    box.

    Args:
      alpha: the threshold, >= 0.
      data: [n, d].

    Returns:
      r; 0 where alpha is 0.

    Raises:
      ConfigError: alpha < 0, or unusable data.

    Example:
      >>> from tfcollapse.theory import certified_radius
      >>> f"{certified_radius.certified_radius(alpha=1.0):.2f}"
      '0.39'
    """
    data = arguments.points("data", data)
    if arguments.non_negative("alpha", alpha) == 0:
        return 0.0
    centred = np.abs(data - data.mean(axis=0))
    low, high = 0.0, 0.999
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _certifies(middle, alpha, centred) else (low, middle)
    return low


def _certifies(radius: float, alpha: float, centred: np.ndarray) -> bool:
    """Prove the inequality of `certified_radius` for all 0 < |W| <= r and |sigma - 1| <= r; False where it cannot.

    T is at most 2 Q(h - r / sigma), as |mean of u| <= |W| r. In the coordinates (h, sigma) the inequality is hardest at
    the smallest sigma of each h, which is max(1 - r, alpha / (r h)): sigma^2 grows with sigma, and T falls. What is
    left is a curve in h >= alpha / (r (1 + r)). It is cut into cells. Each of its factors is monotone in h, so that an
    end of a cell bounds it: the smallest sigma and G at the upper end, T at the lower end.

    Beyond the last cell sigma is 1 - r, and the inequality becomes easier as h grows. With x = h - r / (1 - r), the
    derivative of log G - 2 log Q(x) is 2 phi(x) / Q(x) - p(h), where p is minus that of log G. phi / Q >= (3 x +
    sqrt(x^2 + 8)) / 4 (Sampford 1953), and p <= (h + sqrt(h^2 + 12)) / 2, as p = h + 3 / p_3 for the next iterated
    integral, whose p_3 >= p. From h = 2 r / (1 - r) + 2 on, the difference of these two bounds is positive.

    Round-off is covered by `_SLACK`.
    """
    gamma_bar, d = np.square(centred).mean(), centred.shape[1]
    shift = radius / (1 - radius)
    first, last = alpha / (radius * (1 + radius)), max(alpha / (radius * (1 - radius)), 2 * shift + 2)
    h = np.geomspace(first, max(last, 2 * first), _CELLS + 1)
    lower, upper = h[:-1], h[1:]
    sigma = np.maximum(1 - radius, alpha / (radius * upper))
    log_passes = np.log(2) + log_ndtr(radius / sigma - lower)
    eta = 2 * centred.mean() / gamma_bar * radius**2 * np.exp(log_passes.max())
    if eta >= 1 - _SLACK:
        return False
    gain = np.log(d * centred.max() ** 2) + 2 * log_passes
    cost = np.log(2 * gamma_bar * (1 - eta)) + 2 * np.log(sigma) + _log_excess(upper)
    return bool((gain + _SLACK * (1 + np.abs(gain)) <= cost).all())


def _log_excess(h: np.ndarray) -> np.ndarray:
    """Return log E[((eps - h)_+)^2] = log((1 + h^2) Q(h) - h phi(h)) for h > 0, or a close lower bound on it.

    From h = 15 on it is the asymptotic series in 1 / h^2, which ends with a negative term and therefore is a lower
    bound: the integral of v^2 exp(-v) times a partial sum of exp(-v^2 / (2 h^2)). It leaves out less than 1e-8.
    """
    near, far = np.minimum(h, _FAR), np.maximum(h, _FAR)
    exact = (1 + near**2) * 0.5 * erfcx(near / np.sqrt(2)) - near / np.sqrt(2 * np.pi)
    series = np.polyval([-124740.0, 9450.0, -840.0, 90.0, -12.0, 2.0], far**-2.0) / np.sqrt(2 * np.pi) / far**3
    return np.log(np.where(h < _FAR, exact, series)) - h**2 / 2
