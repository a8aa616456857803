"""Say whether a VAE is collapsed, in which way, and what would change it: `tfcollapse.diagnose`."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.diagnosis.adapter.model_adapter import BLOCK, ModelAdapter
from tfcollapse.diagnosis.categories import CATEGORIES
from tfcollapse.diagnosis.declared_loss import DeclaredLoss, declared_loss
from tfcollapse.diagnosis.evidence import DEFAULT, Thresholds
from tfcollapse.diagnosis.examples import Examples, read_examples
from tfcollapse.diagnosis.likelihoods import LINKS, Likelihood
from tfcollapse.diagnosis.loss import Loss
from tfcollapse.diagnosis.measure import measure
from tfcollapse.diagnosis.measurements import Measurements, scale_name
from tfcollapse.diagnosis.terminal import lines
from tfcollapse.diagnosis.verdict import Verdict, decide
from tfcollapse.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What was measured of a VAE, and the verdict.

    Attributes:
      measurements: the numbers.
      verdict: the categories of the model and of each latent dimension, with the evidence.

    Example:
      >>> x = np.random.default_rng(0).normal(size=(200, 3))  # white noise, which no unit can code
      >>> found = tc.diagnose(lambda x: (0 * x, 0 * x), lambda z: 0 * z, x, gamma=1.0)  # a VAE of zeros
      >>> found.measurements.active_units, found.verdict.category
      (0, 'i')
      >>> print(found.lines()[2])
      next: nothing needs to be done: no latent unit would pay on these data
      >>> figure = found.plot("diagnosis.png")
    """

    measurements: Measurements
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """Return the verdict and the measurements as plain numbers, lists and text, for JSON."""
        return {"verdict": self.verdict.as_json(), "measurements": self.measurements.as_json()}

    def lines(self) -> list[str]:
        """Write the diagnosis as lines for a terminal: the verdict, what to do next, then what they rest on."""
        return lines(self.verdict, self.measurements)

    def plot(self, path: str | pathlib.Path | None = None) -> Figure:
        """Draw the units by their KL, sigma_z, the spectra against gamma, and examples with their reconstructions.

        Args:
          path: where the figure is written too; its suffix says as what (.png, .pdf, .svg).

        Returns:
          A matplotlib Figure.

        Raises:
          ConfigError: a suffix of another kind.
          RunError: the disk cannot be written.
        """
        from tfcollapse.figures.diagnosis import ACTIVE, Look, diagnosis_figure
        from tfcollapse.figures.style import write

        m, verdict = self.measurements, self.verdict
        looks = {kind.name: Look(kind.title, kind.colour, kind.hatch) for kind in CATEGORIES.values()} | {
            "active": ACTIVE
        }
        figure = diagnosis_figure(m, [looks[name] for name in verdict.per_dimension], verdict.headline, scale_name(m))
        if path is not None:
            write(figure, pathlib.Path(path))
        return figure

    def __str__(self) -> str:
        return "\n".join(self.lines())


@arguments_checked
def diagnose(
    encoder: Any,
    decoder: Any,
    data: Any,
    gamma: float | None = None,
    *,
    beta: float = 1.0,
    loss: str | Loss | None = None,
    likelihood: str | Likelihood | None = None,
    output: str | None = None,
    spread: str | None = None,
    joined: bool = False,
    gamma_learned: bool = False,
    logged: float | None = None,
    examples: int | None = None,
    thresholds: Thresholds = DEFAULT,
    seed: int = 0,
) -> Diagnosis:
    """Say whether a VAE's posterior has collapsed, which of the paper's categories (section 3) it is, and why.

    What is known of the loss is given as `loss`, or as `gamma` and `beta`. Where nothing is given the active units show
    it; where no unit is active, the verdict says what each loss would mean.

    Args:
      encoder: a Keras model of any backend, a torch module or a method of one, or a function of NumPy arrays (one of
        torch tensors: `tfcollapse.from_torch`, of JAX arrays: `tfcollapse.from_jax`), from examples [n, ...] to (mean,
        log_variance), [n, latent] each. A third output is ignored. A dictionary with such names, and a distribution
        with a mean and a scale, are taken too.
      decoder: of the same kinds, z [n, latent] to examples; or to (mean, log_variance) per number; or, of two inputs,
        (z, examples) to examples, for an autoregressive decoder. A condition is fixed by a function that closes over
        it, and `data` are then the examples of this condition.
      data: what the model was trained on, all of it where there is time, in the units in which it was trained: an
        array, tensor or list of rows, [n >= 2, ...]; the path of a .npy or .npz file; a tf.data.Dataset, a torch
        DataLoader or Dataset, or any other iterable of batches [n, ...]. Of a tuple, such as (x, label), the first
        array is taken, of a dictionary its one array, or the one named "image". uint8 with other values than 0 and 1 is
        divided by 255; all other numbers stay as they are.
      gamma: the decoder VARIANCE in the loss; a squared error summed over pixels plus the KL in nats is gamma = 1/2,
        one averaged over the d pixels is gamma = d / 2.
      beta: the weight on the KL, beside gamma or loss.
      loss: in words, such as "squared error averaged over pixels, weight 784, beta 0.5" or "cross-entropy summed", or a
        `tfcollapse.Loss`; gamma and beta follow from it.
      likelihood: "gaussian", "bernoulli", "poisson" or a `tfcollapse.Likelihood`; by default that of the loss, else
        Gaussian.
      output: what the decoder's output is: "mean", "logits" or "log_mean". By default it is recognised, and a note says
        so.
      spread: what the encoder's second output is: "log_variance", "sigma", "variance" or "log_sigma". By default it is
        recognised, and a note says so where it is not the log variance.
      joined: whether the encoder has one output, [n, 2 latent]: means, then spreads.
      gamma_learned: whether gamma is a weight that was trained; then it must have arrived at the error.
      logged: the reconstruction loss that the training's log shows at its end, without its weight. Where no unit is
        active, it tells whether the error was summed or averaged.
      examples: take so many examples alone: of an array evenly spread ones, of an iterable the first ones. None for
        all, but 10,000 of an iterable.
      thresholds: the values at which the decisions change.
      seed: of the draws of z.

    Returns:
      The diagnosis. Printed, it says the verdict, what to do next, and the evidence.

    Raises:
      ConfigError: numbers that are not > 0, outputs of shapes that do not fit, NaN, data that the likelihood excludes.

    Example:
      >>> images = tc.load(tc.Data(name="fashion_mnist_mini", train=500)).train
      >>> x = images[:, 4:24:4, 4:24:4].reshape(-1, 25) / 255  # every fourth pixel
      >>> vae = tc.theory.affine.optimum(x, latent_dim=4, gamma=0.5)  # the best affine VAE under this loss
      >>> encoder = lambda x: ((x - vae.bias) @ vae.encoder.T, np.tile(np.log(vae.latent_variance), (len(x), 1)))
      >>> decoder = lambda z: z @ vae.weights.T + vae.bias
      >>> found = tc.diagnose(encoder, decoder, x, loss="squared error summed")
      >>> found.verdict.category, found.verdict.counts
      ('ii', {'active': 1, 'ii': 3})
      >>> print(found.verdict.next_step.split(" (")[0])
      learn gamma, or set it to 0.0851, which fits the error
    """
    return diagnose_known(
        encoder,
        decoder,
        data,
        lambda shape, latent_dim: declared_loss(
            shape, latent_dim, gamma, beta, loss, likelihood, gamma_learned, logged
        ),
        output=output,
        spread=spread,
        joined=joined,
        examples=examples,
        thresholds=thresholds,
        seed=seed,
    )


def diagnose_known(
    encoder: Any,
    decoder: Any,
    data: Any,
    declare: Callable[[tuple[int, ...], int], DeclaredLoss],
    *,
    output: str | None = None,
    spread: str | None = None,
    joined: bool = False,
    examples: int | None = None,
    thresholds: Thresholds = DEFAULT,
    seed: int = 0,
    blame: str = "",
) -> Diagnosis:
    """Diagnose a VAE whose loss is known as `declare` says, from the shape of one example and the number of latents.

    Args:
      encoder, decoder, data, output, spread, joined, examples, thresholds, seed: as `diagnose` takes them.
      declare: (shape, latent_dim) to what is known of the loss.
      blame: the command or the line of code that finds out who is to blame for a model of this kind.

    Raises:
      ConfigError: as `diagnose`.
    """
    if seed < 0:
        raise ConfigError(f"seed: expected a whole number >= 0, received {seed}")
    taken = read_examples(data, examples)
    sample = taken.as_float(taken.array[:: max(1, len(taken) // BLOCK)][:BLOCK])
    adapter = ModelAdapter(encoder, decoder, sample[:2], spread=spread, joined=joined)
    adapter.recognise_spread(sample)
    declared = declare(sample.shape[1:], adapter.latent_dim)
    if taken.scale != 1 and declared.likelihood.support == (0.0, np.inf):
        raise ConfigError(
            f"data: expected counts for the {declared.likelihood.name} likelihood, received uint8, which is divided by "
            f"{taken.scale:g} as images are: give data.astype('int64')"
        )
    link = link_of_output(adapter, declared, sample, output)
    adapter.link = LINKS[link]
    weight = declared.beta if adapter.own_variance else declared.weight
    measurements = measure(adapter, taken, weight, seed, likelihood=declared.likelihood)
    verdict = decide(measurements, thresholds, declared, blame)
    notes = _readings(taken, adapter, None if output is not None or declared.logits else link)
    return Diagnosis(measurements, dataclasses.replace(verdict, notes=(*notes, *verdict.notes)))


def _readings(examples: Examples, adapter: ModelAdapter, link: str | None) -> list[str]:
    """Return notes on what was recognised, not declared, and on the examples that were taken."""
    notes = []
    if examples.chosen or (examples.scale != 1 and examples.array.ndim == 2):  # ages may be uint8, and are no pixels
        notes.append(f"data: {examples.description}")
    if adapter.spread_recognised:
        notes.append(
            f"the encoder's second output is taken for {adapter.spread.replace('_', ' ')}: spread='log_variance' says "
            "that it is not"
        )
    if link not in (None, "mean"):
        notes.append(f"the decoder's output is taken for {link.replace('_', ' ')}: output='mean' says that it is not")
    return notes


def link_of_output(adapter: ModelAdapter, declared: DeclaredLoss, sample: np.ndarray, output: str | None) -> str:
    """Return what the decoder's output is, as a key of `LINKS`: as declared, or as its range shows.

    Under a likelihood of limited support, an output outside it cannot be the mean.

    Raises:
      ConfigError: an unknown name, or data that the likelihood excludes.
    """
    likelihood = declared.likelihood
    if output is not None and output not in (*LINKS, "probabilities"):
        raise ConfigError(f"output: expected one of {', '.join(LINKS)}, received {output!r}")
    low, high = likelihood.support
    if sample.min() < low or sample.max() > high:
        raise ConfigError(
            f"data: expected numbers from {low:g} to {high:g} for the {likelihood.name} likelihood, received "
            f"{sample.min():.4g} to {sample.max():.4g}: scale them, or declare another likelihood or loss"
        )
    if output is not None:
        return "mean" if output == "probabilities" else output
    if declared.logits:
        return "logits"
    raw = adapter.decode(adapter.encode(sample).mean, sample).mean
    return likelihood.link if raw.min() < low or raw.max() > high else "mean"
