"""A loss in words: the gamma and the weight on the KL that follow from it."""

import pytest

from tfcollapse.diagnosis.loss import Loss
from tfcollapse.errors import ConfigError

SHAPE, LATENT = (28, 28, 1), 8


@pytest.mark.parametrize(
    ("words", "gamma", "kl_weight"),
    [
        # ||x - x_hat||^2 + KL is 2 gamma = 1.
        ("squared error summed", 0.5, 1),
        ("squared error summed over pixels, averaged over the batch", 0.5, 1),
        ("squared error averaged over pixels", 392, 1),
        ("mse", 392, 1),
        ("MSE averaged over pixels, weight 784", 0.5, 1),
        ("mean squared error, weight 784, beta 0.5", 0.5, 0.5),
        ("half squared error summed", 1, 1),
        ("1/2 squared error, summed, beta=4", 1, 4),
        ("squared error averaged over channels", 0.5, 1),
        ("squared error summed, KL averaged over latents", 0.5, 1 / LATENT),
        ("mse, KL summed over a batch of 64", 392, 64),
        ("sum of squares summed, times 50", 0.01, 1),
        ("0.5 * squared error summed", 1, 1),
        ("784 * mse + 4 * kl", 0.5, 4),
        ("nn.MSELoss() + KLD", 392, 1),
        ("F.mse_loss(reduction='sum')", 0.5, 1),
        ("sum of squared errors averaged over the batch", 0.5, 1),
        ("mean SSE", 0.5, 1),
        ("average sum of squares per image", 0.5, 1),
        ("squared error averaged over the 784 pixels", 392, 1),
        ("squared error averaged over batch and pixels, KL averaged over the batch", 392, 1),
        ("bce from_logits=True, sum", None, 1),
        ("binary cross entropy (mean) * 784 + kl", None, 1),
        ("BCEWithLogitsLoss, reduction sum", None, 1),
        ("cross-entropy summed", None, 1),
        ("binary cross-entropy averaged over pixels", None, 784),
        ("bce with logits, mean, weight 784, beta 2", None, 2),
        ("poisson summed over genes, kl weight 0.1", None, 0.1),
    ],
)
def test_gamma_and_beta_follow_from_the_words(words, gamma, kl_weight):
    loss = Loss.parse(words)
    assert loss.gamma(SHAPE) == (None if gamma is None else pytest.approx(gamma))
    assert loss.kl_weight(SHAPE, LATENT) == pytest.approx(kl_weight)
    assert Loss.parse(words).logits == ("logits" in words.lower())


def test_channels_are_the_last_axis():
    # Keras' mse over [n, 28, 28, 3] is a mean over 3 channels, which a sum over pixels follows.
    assert Loss("squared error", "averaged over channels").gamma((28, 28, 3)) == pytest.approx(1.5)


def test_the_loss_and_what_follows_are_said():
    assert Loss.parse("mse").words(SHAPE, LATENT) == (
        "squared error averaged over 784 numbers, weight 1, beta 1: gamma 392, beta 1"
    )
    assert Loss.parse("bce summed, beta 3").words(SHAPE, LATENT).endswith(": beta 3")


@pytest.mark.parametrize(("words", "other"), [("mse", "summed"), ("bce summed", "averaged")])
def test_the_other_reduction(words, other):
    assert Loss.parse(words).other_reduction().reduction == other


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("squared error", "'summed' or 'averaged'"),
        ("squared error summed and averaged", "'summed' or 'averaged'"),
        ("summed", "expected one of squared error"),
        ("absolute error summed", "'absolute' is unknown"),
        ("squared error and cross-entropy summed", "expected one of squared error"),
        ("mse, beta minus", "'beta minus' is unknown"),
        ("mse, beta 0", "expected beta > 0"),
        ("bce mean, KL mean", "'KL averaged over latents' or 'over the batch'"),
        (3, "expected words such as"),
    ],
)
def test_what_leaves_something_open_is_refused_in_one_line(words, message):
    with pytest.raises(ConfigError, match=message) as raised:
        Loss.parse(words)
    assert "\n" not in str(raised.value)
