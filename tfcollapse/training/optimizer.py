"""Make the optimiser of Appendix A, and the one in which the encoder is ahead of the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfcollapse.config.declaration import Training
from tfcollapse.models.autoencoder import Autoencoder

PERIOD = 10
"""Steps of the encoder for one of the decoder, while the encoder is ahead."""


def adam(training: Training, model: Autoencoder | None = None) -> keras.optimizers.Adam:
    """Return Adam with a learning rate that is halved every `halve_every` steps, as a staircase.

    Args:
      training: the declaration.
      model: whose decoder is behind in the first `encoder_ahead` steps; without one nothing is.
    """
    rate = keras.optimizers.schedules.ExponentialDecay(
        training.learning_rate, decay_steps=training.halve_every, decay_rate=0.5, staircase=True
    )
    options: dict[str, Any] = {"beta_1": training.beta_1, "beta_2": training.beta_2, "epsilon": training.epsilon}
    if model is None or not training.encoder_ahead:
        return keras.optimizers.Adam(rate, **options, name="adam")
    behind = [v for v in (*model.decoder.trainable_variables, model.log_gamma) if v is not None and v.trainable]
    return EncoderAhead(rate, **options, name="adam", behind=behind, steps=training.encoder_ahead)


class EncoderAhead(keras.optimizers.Adam):
    """Adam that moves some variables at every tenth step only for a while (He et al. 2019, algorithm 1).

    Such a variable ignores the gradients of the other steps. It ends where Adam ends that sees its own steps alone.

    Args:
      rate: the learning rate, or its schedule over all steps.
      behind: the variables that lag, such as the decoder's.
      steps: the number of steps in which they do.
      options: Adam's.
    """

    def __init__(self, rate: Any, *, behind: Sequence[keras.Variable], steps: int, **options: Any):
        super().__init__(rate, **options)
        self._lagging, self._steps = {id(variable) for variable in behind}, steps

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make Adam's variables for these. Keras calls it."""
        super().build(variables)
        self._places = {place for place, variable in enumerate(variables) if id(variable) in self._lagging}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable by Adam's rule (Kingma and Ba 2015, algorithm 1), or leave it and its moments as they are.

        Keras calls it.
        """
        place = self._get_variable_index(variable)
        if place not in self._places:
            super().update_step(gradient, variable, learning_rate)
            return
        done, ahead = self.iterations + 1, self._steps
        alone = ops.cast(done <= ahead, done.dtype)
        moves = ops.cast((done > ahead) | (done % PERIOD == 0), variable.dtype)
        count = ops.maximum(alone * (done // PERIOD) + (1 - alone) * (ahead // PERIOD + done - ahead), 1)
        decay_1, decay_2 = (ops.power(ops.cast(b, variable.dtype), count) for b in (self.beta_1, self.beta_2))
        rate = moves * ops.cast(learning_rate, variable.dtype) * ops.sqrt(1 - decay_2) / (1 - decay_1)
        m, v, gradient = self._momentums[place], self._velocities[place], ops.cast(gradient, variable.dtype)
        self.assign_add(m, moves * (1 - self.beta_1) * (gradient - m))
        self.assign_add(v, moves * (1 - self.beta_2) * (ops.square(gradient) - v))
        self.assign_sub(variable, rate * m / (ops.sqrt(v) + self.epsilon))
