"""Make the optimiser of Appendix A."""

from __future__ import annotations

import keras

from tfcollapse.config.declaration import Training


def adam(training: Training) -> keras.optimizers.Adam:
    """Return Adam with a learning rate that is halved every `halve_every` steps, as a staircase."""
    rate = keras.optimizers.schedules.ExponentialDecay(
        training.learning_rate, decay_steps=training.halve_every, decay_rate=0.5, staircase=True
    )
    return keras.optimizers.Adam(
        rate, beta_1=training.beta_1, beta_2=training.beta_2, epsilon=training.epsilon, name="adam"
    )
