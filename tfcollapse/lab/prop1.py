"""Test Proposition 1: (7) is a local minimum for every alpha > 0, in all parameters jointly, and for any data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfcollapse.lab.section import Section
from tfcollapse.theory import basin, gradient_flow, local_minimum
from tfcollapse.theory.certified_radius import certified_radius
from tfcollapse.theory.checks import Check, at_least, at_most, equal, true
from tfcollapse.theory.local_minimum import PAPER_DATA

READING = (
    "With a soft threshold in the decoder the collapsed solution (7) is a local minimum for every alpha > 0. The paper "
    "moves the weights alone; here all parameters move together, within a radius that is proved, for any data set. The "
    "basin is shallow: for alpha up to 0.1 its width grows like alpha, the barrier around it like alpha squared. For "
    "alpha near 1 a second bad minimum, half reconstructed, stands behind the first. At alpha = 1 it catches most of "
    "the gradient flows that leave the first."
)
_ALPHAS = (0.01, 0.03, 0.1, 0.3, 1.0, 2.0)
_WIDE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5, 2.0)


def prop1_section(seed: int = 0) -> Section:
    """Check Proposition 1 on the two points of Appendix B, and on random data sets drawn from `seed`."""
    curves: dict[str, Any] = {}
    checks = [
        *_at_the_point(seed),
        *_along_the_weights(curves),
        *_jointly(seed, curves),
        *_barriers(curves),
        *_descent(curves),
        *_map(curves),
    ]
    settings = {"points": "(1, 1) and (-1, -1), as in Appendix B; random data sets where said", "seed": seed}
    return Section("prop1", "The soft-threshold decoder (Proposition 1)", READING, checks, curves, settings)


def _at_the_point(seed: int) -> list[Check]:
    """Check the value, the gradient and the Hessian at (7), section B.2."""
    point, alpha = local_minimum.collapsed(PAPER_DATA), 1.0
    slope = local_minimum.gradient(point, PAPER_DATA, alpha).flat()
    second = local_minimum.hessian(point, PAPER_DATA, alpha)
    # The parameters are W (2), b (2), gamma, mu (2), sigma (2), in this order; n = d = 2 and gamma-bar = 1.
    blocks = np.diag([0.0, 0, 4, 4, 4, 2, 2, 4, 4])
    affine = np.linalg.eigvalsh(local_minimum.hessian(point, PAPER_DATA, 0.0))
    return [
        equal("eq. (6) at (7): n (d + kappa)", 6.0, local_minimum.energy(point, PAPER_DATA, alpha), absolute=1e-12),
        equal("gradient at (7): largest entry", 0.0, float(np.abs(slope).max()), absolute=1e-12),
        equal(
            "Hessian at (7) against B.2's blocks 0, (2 n / gamma) I, n d / gamma^2, 2 and 4: largest difference",
            0.0,
            float(np.abs(second - blocks).max()),
            absolute=1e-12,
        ),
        true(
            "alpha = 0: negative eigenvalues there",
            "1: an affine decoder has a saddle",
            f"{int((affine < -1e-12).sum())}, lowest {affine[0]:.6g}",
            int((affine < -1e-12).sum()) == 1,
        ),
        _sampled(seed),
    ]


def _sampled(seed: int) -> Check:
    random = np.random.default_rng(seed)
    data = random.standard_normal((5, 3))
    vae = local_minimum.SoftThresholdVAE(
        random.standard_normal((3, 2)),
        random.standard_normal(3),
        0.7,
        random.standard_normal((5, 2)),
        random.uniform(0.3, 1.5, (5, 2)),
    )
    exact = local_minimum.energy(vae, data, 0.4)
    sampled, error = local_minimum.sampled_energy(vae, data, 0.4, 200_000, seed)
    return equal(
        "exact energy of a random model, n = 5, d = 3, kappa = 2, against 200,000 samples, in standard errors",
        0.0,
        (sampled - exact) / error,
        absolute=5.0,
    )


def _along_the_weights(curves: dict[str, Any]) -> list[Check]:
    """Check that the energy rises strictly in every direction of W, where W alone moves, as in the paper."""
    point, lowest = local_minimum.collapsed(PAPER_DATA), np.inf
    widths = np.geomspace(0.1, 3.0, 60)
    for angle in np.linspace(0, np.pi, 24, endpoint=False):
        direction = np.array([[np.cos(angle)], [np.sin(angle)]])
        for width in widths:
            moved = local_minimum.SoftThresholdVAE(width * direction, point.bias, point.gamma, point.mean, point.sigma)
            slope = (local_minimum.gradient(moved, PAPER_DATA, 1.0).weights * direction).sum()
            lowest = min(lowest, float(slope))
    tiny = local_minimum.SoftThresholdVAE(np.full((2, 1), 0.1), point.bias, point.gamma, point.mean, point.sigma)
    push = float(local_minimum.gradient(tiny, PAPER_DATA, 1.0).weights[0, 0])
    curves["push at W = alpha / 10"] = push
    return [
        true(
            "derivative along W alone, 24 directions, |W| from 0.1 to 3, alpha = 1: the smallest",
            "> 0",
            f"{lowest:.3g}",
            lowest > 0,
        ),
        true("it is far below what sampling could see: dL/dW at W = alpha / 10", "> 0", f"{push:.3g}", push > 0),
    ]


def _jointly(seed: int, curves: dict[str, Any]) -> list[Check]:
    """Check that no energy near (7) is lower, whatever parameters move.

    One radius is proved to hold no lower energy. A search finds lower energy at another, larger one.
    """
    proved = [certified_radius(alpha) for alpha in _ALPHAS]
    escape = [basin.escape_radius(alpha) for alpha in _ALPHAS]
    curves["radius"] = {"alpha": list(_ALPHAS), "proved": proved, "found": escape}
    random, worst, least = np.random.default_rng(seed), np.inf, np.inf
    for _ in range(40):
        n, d = random.integers(2, 7), random.integers(2, 5)
        data = random.standard_normal((n, d)) * random.uniform(0.2, 3.0, d)
        alpha = float(random.uniform(0.05, 2.0))
        radius = certified_radius(alpha, data)
        least = min(least, radius)
        for _ in range(20):
            inside = radius * random.uniform(-1, 1, d + 2 * n)
            inside[d + n :] = np.log1p(inside[d + n :])
            worst = min(worst, basin.relative_energy(inside, data, alpha)[0])
    return [
        true(
            "proved radius over alpha, all parameters jointly",
            "> 0 for every alpha",
            ", ".join(f"{radius:.3g}" for radius in proved),
            min(proved) > 0,
        ),
        true(
            "radius at which a search finds lower energy",
            "above the proved one",
            ", ".join(f"{radius:.3g}" for radius in escape),
            all(np.array(escape) >= proved),
        ),
        true(
            "any data set: least proved radius of 40 random ones, n 2 to 6, d 2 to 4", "> 0", f"{least:.3g}", least > 0
        ),
        at_least("energy relative to (7) at 800 random points within those radii: the lowest", -1e-9, float(worst)),
    ]


def _barriers(curves: dict[str, Any]) -> list[Check]:
    """Check the height and the width of the barrier around (7): both are powers of alpha."""
    passes = [basin.mountain_pass(alpha) for alpha in _WIDE if alpha <= basin.FOLD]
    inside = [alpha for alpha in _WIDE if alpha <= basin.FOLD]
    bounded = [0.01, 0.03, 0.1, 0.3, 1.0, 1.5, 2.0]
    bounds = [basin.barrier_bound(alpha) for alpha in bounded]
    heights, widths = [saddle.height for saddle in passes], [saddle.weight for saddle in passes]
    curves["barrier"] = {"alpha": inside, "height": heights, "weight": widths, "bounded": bounded, "bound": bounds}
    small = [alpha <= 0.1 for alpha in inside]
    minima = basin.partial_minima()
    at_one, behind = basin.mountain_pass(1.0), minima[1.0]
    curves["partial"] = {"energy": behind.height, "weight": behind.weight, "mean": behind.mean, "sigma": behind.sigma}
    curves["partial"]["alpha"] = [min(minima), max(minima)]
    above = min((alpha for alpha, place in minima.items() if place.height > 0), default=None)
    return [
        equal("barrier height at alpha = 1 (known: about 0.023)", 0.023, at_one.height, absolute=0.0005),
        at_most("least height of any way out, as a search finds it, alpha = 1", at_one.height, bounds[4]),
        at_least("the same: no way out is found that is lower by 2% than the pass", 0.98 * at_one.height, bounds[4]),
        true(
            "negative eigenvalues of the Hessian at the passes, all nine parameters",
            "1 at each",
            ", ".join(str(saddle.negative) for saddle in passes),
            all(saddle.negative == 1 for saddle in passes),
        ),
        equal("height as a power of alpha, alpha <= 0.1", 2.0, _power(inside, heights, small), absolute=0.01),
        equal("width as a power of alpha, alpha <= 0.1", 1.0, _power(inside, widths, small), absolute=0.01),
        true(
            "alpha = 1: a second bad minimum, half reconstructed",
            "no negative eigenvalue, gradient 0",
            f"{behind.negative} negative, gradient {behind.slope:.1e}, energy {behind.height:+.4f} against (7)'s, "
            f"W = {behind.weight:.3f}, mu = {behind.mean:.3f}, sigma = {behind.sigma:.3f}",
            behind.negative == 0 and behind.slope < 1e-10,
        ),
        true(
            "the alphas that have this second minimum, in steps of 0.01 from 1",
            "an interval around 1",
            f"{min(minima):g} to {max(minima):g}; its energy is above (7)'s from {above:g} on",
            min(minima) < 1 < max(minima),
        ),
    ]


def _descent(curves: dict[str, Any]) -> list[Check]:
    """Check that the energy falls without bound along the delta path of B.1."""
    deltas, checks, paths = np.geomspace(1e-2, 1e-8, 13), [], {}
    for alpha in (0.1, 1.0, 2.0):
        energies = [local_minimum.energy(local_minimum.delta_path(delta, alpha), PAPER_DATA, alpha) for delta in deltas]
        slope = float(np.polyfit(np.log(deltas[4:]), energies[4:], 1)[0])
        paths[str(alpha)] = energies
        checks.append(equal(f"slope of the energy in log delta, alpha = {alpha:g}", 4.0, slope, absolute=1e-4))
    curves["path"] = {"delta": deltas.tolist(), "energy": paths}
    return checks


def _map(curves: dict[str, Any]) -> list[Check]:
    """Check where the gradient flow ends."""
    weights, means, checks, maps, caught = np.linspace(0.0, 1.5, 31), np.linspace(0.0, 1.5, 31), [], {}, {}
    for alpha, sigma in ((0.0, 1.0), (0.3, 1.0), (1.0, 1.0), (1.0, 0.2)):
        ends = gradient_flow.basin_map(weights, means, alpha, sigma)
        maps[f"alpha {alpha:g}, sigma {sigma:g}"] = ends.tolist()
        if alpha == 1.0:
            caught[sigma] = float((ends[ends != gradient_flow.COLLAPSED] == gradient_flow.PARTIAL).mean())
        if sigma < 1:
            continue
        inner = float((ends[1:, 1:] == gradient_flow.COLLAPSED).mean())
        allowed = inner == 0 if alpha == 0 else inner > 0
        name = f"alpha = {alpha:g}: share of starts with W, mu > 0 whose gradient flow ends collapsed"
        checks.append(true(name, "0" if alpha == 0 else "> 0", f"{inner:.1%}", allowed))
        undecided = int((ends == gradient_flow.UNDECIDED).sum())
        checks.append(
            at_most(f"alpha = {alpha:g}: starts of {ends.size} whose flow has not ended", 0.01 * ends.size, undecided)
        )
    curves["map"] = {"weight": weights.tolist(), "mean": means.tolist(), "ends": maps}
    found = ", ".join(f"{share:.1%} from sigma = {sigma:g}" for sigma, share in caught.items())
    most = "alpha = 1: share of the flows that leave (7) which the second minimum catches"
    return [*checks, true(most, "more than half", found, min(caught.values()) > 0.5)]


def _power(alphas: list[float], values: list[float], chosen: list[bool]) -> float:
    x, y = np.log(np.array(alphas)[chosen]), np.log(np.array(values)[chosen])
    return float(np.polyfit(x, y, 1)[0])
