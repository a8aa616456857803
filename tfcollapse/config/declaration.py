"""A run as five frozen dataclasses: validated, written as JSON and read from it, with a stable id.

A declaration is Python: `Run(network=Network(depth=10), objective=Objective(kind="ae"))`. Every field
is checked on construction, so a misspelt one fails where the declaration is imported.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any, Literal

from tfcollapse.config.annotations import arguments_checked
from tfcollapse.config.architectures import ARCHITECTURES, ArchitectureName
from tfcollapse.config.architectures.architecture import Architecture
from tfcollapse.config.objective import Objective
from tfcollapse.config.validation import bounded, changed, construct, declaration
from tfcollapse.errors import ConfigError, shown

NUMERICS = 1
"""The version of the numbers: raised by a change that moves what any existing run obtains in float32 on one device.

CHANGELOG.md says what each version changed. 1 is the code of commit d7900b2.
"""

LARGEST_SIDE = 1 << 14
_MOST_IMAGES = 1 << 40


@declaration
class Data:
    """The images of a run.

    Attributes:
      name: a name of TensorFlow Datasets; `fashion_mnist_mini`, which the package carries; or a file of images. A .npy
        file holds one array, of which every tenth image becomes the test split; a .npz file holds arrays train and test
        (or x_train and x_test). Images are [n, height, width] or [n, height, width, channels].
      train, test: use only the first so many images of the split; None is all of them.
      crop: (top, bottom, left, right) in pixels; None is the dataset's own: (45, 173, 25, 153) for celeb_a, else none.
      resize: (height, width) after the crop; None is the dataset's own: (64, 64) for celeb_a, else none.
      channels: the number that the images must have; None takes them as they are.

    Raises:
      ConfigError: a field of another name, type or range, in one line that says what is expected.

    Example:
      >>> data = tc.Data(name="fashion_mnist_mini", train=1_000, crop=(4, 24, 4, 24))
      >>> tc.load(data).train.shape
      (1000, 20, 20, 1)
    """

    name: str = "fashion_mnist"
    train: int | None = bounded(None, least=1, most=_MOST_IMAGES)
    test: int | None = bounded(None, least=1, most=_MOST_IMAGES)
    crop: tuple[int, ...] | None = None
    resize: tuple[int, ...] | None = None
    channels: int | None = bounded(None, least=1, most=LARGEST_SIDE)

    def validate(self) -> None:
        """Check the fields against each other. Raises ConfigError."""
        for name, example, least in (("crop", (45, 173, 25, 153), 0), ("resize", (64, 64), 1)):
            value = getattr(self, name)
            if value is not None and not (
                len(value) == len(example) and min(value) >= least and max(value) <= LARGEST_SIDE
            ):
                raise ConfigError(
                    f"Data.{name}: expected {len(example)} whole numbers from {least} to {LARGEST_SIDE}, such as "
                    f"{','.join(map(str, example))}, received {shown(value)}"
                )
        if self.crop is not None and not (self.crop[0] < self.crop[1] and self.crop[2] < self.crop[3]):
            raise ConfigError(
                f"Data.crop: expected (top, bottom, left, right), top < bottom and left < right, received {self.crop}"
            )


@declaration
class Network:
    """Encoder and decoder of Appendix A.

    Attributes:
      architecture: "dense", "skip_dense" (z enters every layer of the decoder), "residual_dense" (hidden layers give
        h + relu(W h + b), but for the first one), "convolutional" or "residual".
      depth: L hidden layers of a dense encoder, and again of its decoder (0 is the affine VAE of section 4); t
        convolutions, or b residual blocks, at every scale.
      width: units of each dense hidden layer.
      norm: "layer" normalises what enters the ReLU of each dense hidden layer over its units (Ba et al. 2016):
        relu(N(W h + b)), with a gain and an offset for each unit, which start at 1 and 0; the paper names none.
      base_channels: channels of a convolutional or residual network where the side is 32 (twice at 16, half at 64).
      block_depth: c, convolutions in a residual block.
      shortcut: of a residual block: "identity" (a 1x1 convolution only where channels change) or "projection"
        (a 1x1 convolution always).
      batch_norm: normalise after each convolution of a residual block; the paper names none.
      latent_dim: kappa, the number of latent units.
      initializer: how the initial weights are drawn, by Keras' name; biases start at 0.
      output: activation of the last decoder layer; the paper states none.

    Raises:
      ConfigError: a field of another name, type or range, or one that the architecture does not have.

    Example:
      >>> network = tc.Network(architecture="residual", depth=1, block_depth=3, base_channels=4)
      >>> tc.build(tc.Run(network=network), (32, 32, 3)).latent_dim
      64
    """

    architecture: ArchitectureName = "dense"
    depth: int = bounded(2, least=0, most=1_000)
    width: int = bounded(512, least=1, most=1 << 20)
    norm: Literal["none", "layer"] = "none"
    base_channels: int = bounded(64, least=1, most=1 << 14)
    block_depth: int = bounded(2, least=1, most=1_000)
    shortcut: Literal["identity", "projection"] = "identity"
    batch_norm: bool = False
    latent_dim: int = bounded(64, least=1, most=1 << 20)
    initializer: Literal["glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "lecun_normal", "orthogonal"] = (
        "glorot_uniform"
    )
    output: Literal["linear", "sigmoid"] = "linear"

    def validate(self) -> None:
        """Check the fields against each other. Raises ConfigError."""
        least = self.spec.least_depth
        if self.depth < least:
            raise ConfigError(
                f"Network.depth: expected >= {least} for a {self.architecture} network, received {self.depth}"
            )
        strange = {name: value for name, value in changed(self).items() if name in self.absent_fields}
        if strange:
            raise ConfigError(f"Network: a {self.architecture} network takes no such field, received {strange}")

    @property
    def spec(self) -> Architecture:
        """Return the spec of the architecture: what is known of it before it is built. @private"""
        return ARCHITECTURES[self.architecture]

    @property
    def title(self) -> str:
        """Return architecture and depth, and a normalisation where there is one, as text. @private"""
        return f"{self.architecture}, depth {self.depth}{', layer norm' if self.norm == 'layer' else ''}"

    @property
    def own_fields(self) -> dict[str, Any]:
        """Return the fields that this architecture alone takes: arguments of encoder and decoder. @private"""
        return {name: getattr(self, name) for name in self.spec.fields}

    @property
    def absent_fields(self) -> set[str]:
        """Return the names of fields that other architectures take, and this one does not. @private"""
        return {name for spec in ARCHITECTURES.values() for name in spec.fields} - set(self.spec.fields)


ENCODER_STEPS = 10
"""Steps of the encoder for one of the decoder, while the encoder is ahead."""


@declaration
class Training:
    """How the objective is minimised: Adam as in Appendix A.

    Attributes:
      steps: updates of the weights.
      batch: images per step over all replicas together.
      learning_rate: of the first step.
      halve_every: steps after which the learning rate is halved, as a staircase.
      beta_1, beta_2: Adam's.
      epsilon: Adam's: 1e-8, TensorFlow's default when the paper was written (Keras now has 1e-7).
      encoder_ahead: steps at the start in which the decoder and a learned gamma move at every tenth step only, so that
        the encoder does not lag behind them; more than `steps` is the whole run. It follows algorithm 1 of He et al.
        (2019, "Lagging inference networks") with two differences. They update the encoder on one batch until its loss
        stops falling, then the decoder on that batch; here every step has a batch of its own. They end the lead where
        I_q(x; z) of validation data stops rising; here the number is fixed.
      log_every: steps of one compiled chunk, and of one row of metrics.csv.
      evaluate_every, checkpoint_every: steps, multiples of `log_every`.
      jit: compile with XLA; "auto" is the policy of the engine.
      precision: of the networks' arithmetic. "float32" as in the paper; "tf32" takes the shorter products of NVIDIA
        GPUs; "bfloat16" and "float16" are mixed: weights, gamma, the KL and every reduction stay float32, and float16
        scales its loss.

    Raises:
      ConfigError: a field of another name, type or range, or steps that are no multiple of `log_every`.

    Example:
      >>> short = tc.Training(steps=2_000, halve_every=800)
      >>> short.batch, short.learning_rate
      (64, 0.0002)
    """

    steps: int = bounded(250_000, least=1, most=999_999_999)
    batch: int = bounded(64, least=1, most=1 << 20)
    learning_rate: float = bounded(2e-4, above=0)
    halve_every: int = bounded(100_000, least=1, most=1 << 31)
    beta_1: float = bounded(0.9, least=0)
    beta_2: float = bounded(0.999, least=0)
    epsilon: float = bounded(1e-8, above=0)
    encoder_ahead: int = bounded(0, least=0, most=(1 << 31) - 1)
    log_every: int = bounded(100, least=1, most=1 << 31)
    evaluate_every: int = bounded(1_000, least=1, most=1 << 31)
    checkpoint_every: int = bounded(5_000, least=1, most=1 << 31)
    jit: Literal["auto", "on", "off"] = "auto"
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"

    def decoder_updates(self, step: float) -> float:
        """Return how often the decoder and a learned gamma have moved by the end of a step. @private"""
        ahead = min(step, self.encoder_ahead)
        return ahead // ENCODER_STEPS + step - ahead

    def step_of_update(self, updates: int) -> int:
        """Return the step in which the decoder moves for the `updates`-th time, at least 1. @private"""
        late = updates - self.encoder_ahead // ENCODER_STEPS
        return self.encoder_ahead + late if late > 0 else updates * ENCODER_STEPS

    def validate(self) -> None:
        """Check the fields against each other. Raises ConfigError."""
        for name in ("evaluate_every", "checkpoint_every"):
            if getattr(self, name) % self.log_every:
                raise ConfigError(
                    f"Training.{name}: expected a multiple of log_every ({self.log_every}), "
                    f"received {getattr(self, name)}"
                )
        for name in ("beta_1", "beta_2"):
            if getattr(self, name) >= 1 - 2**-25:  # 1 in float32
                raise ConfigError(f"Training.{name}: expected < 1 in float32, received {getattr(self, name)}")


@declaration
class Run:
    """One training run. Two runs with equal fields are the same run, with the same `run_id`.

    Attributes:
      data: the images.
      network: encoder and decoder.
      objective: what is minimised.
      training: how it is minimised, and for how many steps.
      seed: of the weights at the start, the order of images and the noise.
      numerics: the version of the numbers that this run has; that of the present code unless its record is older.

    Raises:
      ConfigError: a field of another name, type or range.

    Example:
      >>> run = tc.Run(network=tc.Network(depth=10), objective=tc.Objective(gamma="optimal"), seed=1)
      >>> run.run_id
      'dense-10-vae-fashion_mnist-s1-711b05a4d8'
      >>> tc.Run.from_json(run.to_json()) == run
      True
    """

    data: Data = Data()
    network: Network = Network()
    objective: Objective = Objective()
    training: Training = Training()
    seed: int = bounded(0, least=0, most=2**63 - 1)
    numerics: int = bounded(NUMERICS, least=0, most=1 << 31)

    @property
    def run_id(self) -> str:
        """Return a readable slug and a hash, the same in every process and on every machine.

        Hashed are the fields that differ from their defaults, so that a field which a later version adds leaves the
        ids of runs that do not use it alone; and the numerics version, where it is not the first.
        """
        kind = self.objective.label.split(" (")[0].replace(" + ", "-").replace(" ", "-").lower()
        hashed = changed(self) | {"numerics": self.numerics}
        if self.numerics == 1:
            del hashed["numerics"]
        digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()[:10]
        name = self.data.name
        name = name.rpartition("/")[2] if name.endswith((".npy", ".npz")) else name.replace("/", "-")
        return f"{self.network.architecture}-{self.network.depth}-{kind}-{name}-s{self.seed}-{digest}"

    def flops_per_image(self, image_shape: tuple[int, int, int]) -> int:
        """Return the FLOPs of a forward pass of one image of (height, width, channels), see `Architecture`. @private"""
        variational, samples = self.objective.kind == "vae", self.objective.importance_samples
        return self.network.spec.flops_per_image(self.network, image_shape, variational=variational, samples=samples)

    def to_json(self) -> str:
        """Write the run as JSON with sorted keys: equal runs give equal text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, indent=1)

    @classmethod
    @arguments_checked
    def from_json(cls, text: str) -> Run:
        """Read the run that `to_json` wrote; without a numerics version it is of the first. Raises ConfigError."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"not a run's configuration: {error}") from None
        return construct(cls, {"numerics": 1} | values if isinstance(values, dict) else values, "run")
