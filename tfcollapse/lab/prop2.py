"""Test Proposition 2: gamma' by three routes, the gamma at which all latents have collapsed, and the conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import ndtr

from tfcollapse.config.declaration import Data, Network, Run, Training
from tfcollapse.config.objective import Objective
from tfcollapse.data.dataset import load
from tfcollapse.lab.optimal_posterior import DecoderResponse
from tfcollapse.lab.section import Section
from tfcollapse.theory import affine, affine_decoder, shrinkage, thresholding
from tfcollapse.theory.checks import Check, at_least, at_most, equal, not_applicable, true
from tfcollapse.training.in_memory import train_in_memory

READING = (
    "The paper claims for every decoder a finite gamma' above which the collapsed solution costs less than any use of "
    "it. Comparing the two costs finds it for the decoders here. The proof's own bound (35) is sufficient, and far "
    "from tight. It needs a Lipschitz gradient, which an affine decoder has and a ReLU decoder has not. It also needs "
    "df / dsigma_z >= c > 0, which no smooth decoder has near sigma_z = 0; df / dsigma_z^2 takes its place here. At a "
    "finite gamma all latents of the trained ReLU VAE have collapsed, exactly."
)
_IMAGES, _AFFINE_IMAGES, _PAIRS = 16, 2_000, 4
_TOP = 8
"""The staircase ends at this multiple of lambda_max, at which an affine decoder has collapsed."""


def prop2_section(data: str, seed: int = 0, data_dir: str | None = None) -> Section:
    """Check Proposition 2 on affine decoders, and on a dense VAE that is trained on the dataset `data`.

    Args:
      data: the name of a dataset, or a file of images.
      seed: the seed of the random data and of the training.
      data_dir: the directory of TFDS; None takes TFDS_DATA_DIR, or ~/tensorflow_datasets.

    Raises:
      DataError: the dataset cannot be loaded.
    """
    curves: dict[str, Any] = {}
    run = _run(data, seed)
    images = load(Data(name=data), data_dir=data_dir).train
    points = images.reshape(len(images), -1) / 255.0
    checks = [
        *_affine_routes("random data", _points(seed), 3),
        *_affine_routes(data, points[:_AFFINE_IMAGES], 8),
        *_deep(run, images, curves),
        *_conditions(curves),
        *_shrinkage(seed, curves),
    ]
    settings = {
        "images": f"{data}: a dense VAE, depth 2, width 64, 4 latents, {run.training.steps:,} steps on all "
        f"{len(images):,}; gamma' on {_IMAGES} of them; the affine rows on the first {len(points[:_AFFINE_IMAGES]):,}",
        "seed": seed,
    }
    return Section("prop2", "Thresholding (Proposition 2)", READING, checks, curves, settings)


def _run(data: str, seed: int) -> Run:
    return Run(
        data=Data(name=data),
        network=Network(depth=2, width=64, latent_dim=4),
        objective=Objective(gamma="optimal"),
        training=Training(steps=4_000, learning_rate=1e-3, halve_every=1_000),
        seed=seed,
    )


def _points(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((40, 8)) * [3, 2.2, 1.5, 1.1, 0.8, 0.6, 0.4, 0.3]


def _affine_routes(name: str, points: np.ndarray, latent: int) -> list[Check]:
    """Check the three routes to gamma' on the optimal affine VAE: what each claims, and the order of their values."""
    best, known = affine.optimum(points, latent), affine.spectrum(points)
    ceiling, top = len(points) * known.total, float(known.eigenvalues[0])

    def respond(gamma: float) -> thresholding.Response:
        return affine_decoder.affine_response(best.weights, best.bias, points, gamma)

    direct = thresholding.direct_gamma(respond, ceiling, best.gamma).gamma
    near = [_difference(respond(share * direct), ceiling, share * direct) for share in (0.99, 1.01)]
    quadratic = affine_decoder.affine_quadratic(best.weights, best.bias, points, direct)
    collapsed = affine.optimum(points, latent, top * 1.000001)
    return [
        true(
            f"{name}, affine: cost of the best posterior minus the collapsed one's at 0.99 and 1.01 gamma'",
            "negative, positive",
            f"{near[0]:.3g}, {near[1]:.3g} at gamma' = {direct:.6g}",
            near[0] < 0 < near[1],
        ),
        at_most(
            f"{name}: gamma' of the decoder as it is, at most lambda_max, where the best decoder collapses", top, direct
        ),
        equal(
            f"{name}: lambda_max implies complete collapse: largest weight there",
            0.0,
            float(np.abs(collapsed.weights).max()),
            absolute=1e-12,
        ),
        *_by_35(name, quadratic, respond(direct), ceiling, direct),
    ]


def _by_35(
    name: str, quadratic: thresholding.Quadratic, response: thresholding.Response, ceiling: float, direct: float
) -> list[Check]:
    """Check the sufficient value from eq. (35), at the posterior `response` of gamma', which is `direct`."""
    sufficient = quadratic.sufficient_gamma()
    slopes = quadratic.reduced_slope(np.linspace(0, 1, 101), sufficient * 1.000001)
    difference = _difference(response, ceiling, sufficient)
    return [
        at_least(
            f"{name}: the sufficient value from (35), at the posterior of gamma', over gamma'", 1, sufficient / direct
        ),
        true(
            f"{name}: (35) implies its slope > 0 for every w, and the collapsed solution cheaper",
            "> 0, > 0",
            f"{slopes.min():.3g}, {difference:.3g}",
            slopes.min() > 0 and difference > 0,
        ),
    ]


def _difference(response: thresholding.Response, ceiling: float, gamma: float) -> float:
    """Return the cost of this posterior minus that of the collapsed solution: eq. (4), summed over data points."""
    return (response.f - ceiling) / gamma + 2 * response.kl


def _deep(run: Run, images: np.ndarray, curves: dict[str, Any]) -> list[Check]:
    """Check a trained ReLU VAE: its gamma' by comparison of the two costs, and when its latents have collapsed."""
    model, metrics = train_in_memory(run, images)
    chosen = images[np.linspace(0, len(images) - 1, _IMAGES).astype(int)] / 255.0
    decoder = DecoderResponse(model, chosen, _PAIRS, run.seed)
    trained = float(np.mean([row["gamma"] for row in metrics[-10:]]))  # each batch sets gamma in closed form
    crossing = thresholding.direct_gamma(decoder.best, decoder.ceiling, trained, tolerance=1e-3, most=6)
    near = [
        _difference(decoder.best(share * crossing.gamma), decoder.ceiling, share * crossing.gamma)
        for share in (0.9, 1.1)
    ]
    top = float(affine.spectrum(chosen.reshape(_IMAGES, -1)).eigenvalues[0])
    curves["staircase"] = {"trained_gamma": trained, "gamma'": crossing.gamma, "lambda_max": top}
    return [
        true(
            "trained dense VAE: the same difference of costs at 0.9 and 1.1 gamma', by descent",
            "negative, positive",
            f"{near[0]:.3g}, {near[1]:.3g} at gamma' = {crossing.gamma:.4g}",
            near[0] < 0 < near[1],
        ),
        true(
            "trained dense VAE: gamma' against the gamma it was trained to",
            "above",
            f"{crossing.gamma:.4g} against {trained:.4g}",
            crossing.gamma > trained,
        ),
        *_staircase(decoder, np.geomspace(trained, _TOP * top, 7).tolist(), curves["staircase"]),
    ]


def _staircase(decoder: DecoderResponse, gammas: list[float], curves: dict[str, Any]) -> list[Check]:
    """Check that latents collapse as gamma grows, and that all of them have done so, exactly, at the largest.

    Scales and posterior are optimised at each gamma.
    """
    steps = decoder.staircase(gammas)
    counts, latents = [int(step.collapsed().sum()) for step in steps], len(steps[0].scale)
    curves |= {
        "gamma": gammas,
        "collapsed": counts,
        "kl": [step.response.kl / len(step.mean) for step in steps],
        "scale": [step.scale.tolist() for step in steps],
        "latent_dim": latents,
    }
    rising = all(a <= b for a, b in zip(counts, counts[1:], strict=False))
    return [
        true(
            f"latents at the prior to 1e-6 as gamma grows to {_TOP} lambda_max, scales and posterior optimised",
            "never fewer, 0 first, all at last",
            ", ".join(map(str, counts)),
            rising and counts[0] == 0 and counts[-1] == latents,
        ),
        _complete_collapse(gammas, counts, latents, curves["lambda_max"]),
    ]


def _complete_collapse(gammas: list[float], counts: list[int], latents: int, top: float) -> Check:
    """Say between which two values of gamma the last latent collapses, in units of lambda_max of the images.

    An affine decoder has collapsed at 1.
    """
    name = "gamma over lambda_max, between the two values where the last of them collapses (1 for an affine decoder)"
    if counts[-1] < latents:
        return true(name, "below the largest gamma", f"above {gammas[-1] / top:.3g}", False)
    at = counts.index(latents)
    return true(name, "finite", f"{gammas[max(at - 1, 0)] / top:.3g} to {gammas[at] / top:.3g}", True)


def _conditions(curves: dict[str, Any]) -> list[Check]:
    """Check what (35) demands of f, on one ReLU unit, whose f is known in closed form."""
    sigmas = np.geomspace(1e-1, 1e-5, 9)

    def f(mean: float, sigma: np.ndarray) -> np.ndarray:
        """Return E[(1 - relu(mean + sigma eps))^2]."""
        h = mean / sigma
        density, below = np.exp(-h * h / 2) / np.sqrt(2 * np.pi), ndtr(h)
        return 1 - 2 * (mean * below + sigma * density) + (mean**2 + sigma**2) * below + mean * sigma * density

    step = 1e-3 * sigmas
    curvature = np.abs(f(step, sigmas) - 2 * f(0.0, sigmas) + f(-step, sigmas)) / step**2
    away = (f(0.5, sigmas[:4] * 1.001) - f(0.5, sigmas[:4] * 0.999)) / (0.002 * sigmas[:4])
    kink = float(np.polyfit(np.log(sigmas), np.log(curvature), 1)[0])
    flat = float(np.polyfit(np.log(sigmas[:4]), np.log(np.abs(away)), 1)[0])
    curves["conditions"] = {"sigma": sigmas.tolist(), "curvature": curvature.tolist()}
    return [
        equal(
            "ReLU unit: second derivative of f in mu_z at the kink, as a power of sigma_z", -1.0, kink, absolute=0.01
        ),
        equal(
            "ReLU unit off the kink, as for an affine decoder: df / dsigma_z as a power of sigma_z",
            1.0,
            flat,
            absolute=0.01,
        ),
        not_applicable(
            "(35) for the trained ReLU VAE",
            "a Lipschitz gradient of f",
            f"no Lipschitz constant (curvature {curvature[-1]:.2g} at sigma_z = 1e-5, and rising)",
        ),
    ]


def _shrinkage(seed: int, curves: dict[str, Any]) -> list[Check]:
    """Check the l1 / l2 analogy: which penalties prune exactly at a finite gamma, and which one never does."""
    random = np.random.default_rng(seed)
    design, target = random.standard_normal((12, 6)), random.standard_normal(12)
    pruning = {name: shrinkage.pruning_gamma(design, target, name) for name in ("l1", "l2", "l2 squared")}
    gammas = np.geomspace(0.02, 20, 25) * pruning["l1"]
    counts = {
        name: [int((shrinkage.solve(design, target, gamma, name) != 0).sum()) for gamma in gammas] for name in pruning
    }
    curves["shrinkage"] = {"gamma": gammas.tolist(), "kept": counts, "pruning": {k: pruning[k] for k in ("l1", "l2")}}
    checks = []
    for name in ("l1", "l2"):
        around = [np.abs(shrinkage.solve(design, target, share * pruning[name], name)).max() for share in (0.99, 1.01)]
        checks.append(
            true(
                f"{name} penalty: largest coefficient at 0.99 and 1.01 of gamma = {pruning[name]:.4g}",
                "> 0, exactly 0",
                f"{around[0]:.3g}, {around[1]:g}",
                around[0] > 0 == around[1],
            )
        )
    checks.append(
        true(
            "squared l2 penalty: coefficients that are 0 at any of 25 values of gamma",
            "none",
            str(6 - min(counts["l2 squared"])),
            min(counts["l2 squared"]) == 6,
        )
    )
    return checks
