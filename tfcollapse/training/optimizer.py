"""Make the optimiser of Appendix A, and the one in which the encoder is ahead of the decoder."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from tfcollapse.config.declaration import ENCODER_STEPS, Training
from tfcollapse.models.autoencoder import Autoencoder


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
    parts = (*model.decoder.trainable_variables, model.log_gamma)
    lagging = {id(variable) for variable in parts if variable is not None}
    behind = [place for place, variable in enumerate(model.trainable_variables) if id(variable) in lagging]
    return EncoderAhead(rate, **options, name="adam", behind=behind, steps=training.encoder_ahead)


@keras.saving.register_keras_serializable("tfcollapse")
class EncoderAhead(keras.optimizers.Adam):
    """Adam that moves some variables at every tenth step only for a while (after He et al. 2019, algorithm 1).

    Such a variable ignores the gradients of the other steps, whatever they are. It ends where Adam ends that sees its
    own steps alone.

    Args:
      learning_rate: a number, or its schedule over all steps.
      behind: the places, among the variables that are trained, of those that lag, such as the decoder's. So no variable
        may be frozen between this and the first step.
      steps: the number of steps in which they do.
      options: Adam's, except those that move or average variables at every step: `amsgrad`, `weight_decay`, `use_ema`
        and `gradient_accumulation_steps`.

    Raises:
      ValueError: such an option is set, or a place or `steps` is negative.
    """

    def __init__(self, learning_rate: Any, *, behind: Sequence[int], steps: int, **options: Any):
        super().__init__(learning_rate, **options)
        for name in ("amsgrad", "weight_decay", "use_ema", "gradient_accumulation_steps"):
            if getattr(self, name):
                raise ValueError(f"EncoderAhead: expected no {name}, received {getattr(self, name)}: leave it out")
        for value in (*behind, steps):
            if operator.index(value) < 0:
                raise ValueError(f"EncoderAhead: expected places and steps >= 0, received {value}")
        self._behind, self._steps = frozenset(behind), steps

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this optimiser again, as Keras saves them."""
        return {**super().get_config(), "behind": sorted(self._behind), "steps": self._steps}

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable by Adam's rule (Kingma and Ba 2015, algorithm 1), or leave it and its moments as they are.

        Keras calls it.
        """
        place = self._get_variable_index(variable)
        if place not in self._behind:
            super().update_step(gradient, variable, learning_rate)
            return
        done, ahead = self.iterations + 1, self._steps
        alone = ops.cast(done <= ahead, done.dtype)
        moves = (done > ahead) | (done % ENCODER_STEPS == 0)
        count = ops.maximum(alone * (done // ENCODER_STEPS) + (1 - alone) * (ahead // ENCODER_STEPS + done - ahead), 1)
        decay_1, decay_2 = (ops.power(ops.cast(b, variable.dtype), count) for b in (self.beta_1, self.beta_2))
        rate = ops.cast(learning_rate, variable.dtype) * ops.sqrt(1 - decay_2) / (1 - decay_1)
        first, second = self._momentums[place], self._velocities[place]
        w, m, v, g = (ops.convert_to_tensor(each, variable.dtype) for each in (variable, first, second, gradient))
        m = ops.where(moves, m + (1 - self.beta_1) * (g - m), m)
        v = ops.where(moves, v + (1 - self.beta_2) * (ops.square(g) - v), v)
        self.assign(first, m)
        self.assign(second, v)
        self.assign(variable, ops.where(moves, w - rate * m / (ops.sqrt(v) + self.epsilon), w))
