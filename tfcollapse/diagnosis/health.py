"""Ask whether a VAE's numbers support a verdict at all: are the outputs what they are taken for, is it trained?

Two verdicts concern the whole model and come before the categories of section 3:

  inconsistent   another reading of the decoder's output is far nearer to the data (logits, another scale); or the
                 units that carry information have sigma_z near 1 or more, which no minimum of a VAE's loss has; or
                 the decoder cannot use z as it is drawn
  not trained    the error is not clearly below the mean predictor's while units are active; a decoder without active
                 units does not even give the mean image; or a learned gamma is far from the error

A model that is not at a stationary point of a VAE's loss is not trained either where nothing harmful is found:
"healthy" and (i) must be earned. Where units are idle and should not be, that is the verdict, and a note names the
failing check. A model whose units are all dead stands at the mean predictor. It has collapsed, and is not called
untrained.
"""

from __future__ import annotations

import numpy as np

from tfcollapse.diagnosis.consistency import BOUNDS
from tfcollapse.diagnosis.declared_loss import DeclaredLoss
from tfcollapse.diagnosis.evidence import Evidence, Thresholds
from tfcollapse.diagnosis.measurements import Measurements, scale_name
from tfcollapse.diagnosis.units import Units

_GOES_ON, _FILLS, _FAR = 0.25, 0.5, 10.0
"""Shares of the distance between two bounds: data go on that pass one by so much, an output fills the bounds where it
goes over so much of them, and data that go over so much are of another scale."""
_PILED = 0.05
"""An output ends at a bound where this share of it is near there. Of a linear output one number may be, by chance."""
_SPAN = 0.25
"""Spans of data and output are said where one is below this share of the other."""
_OF_USE = 0.1
"""Nats of KL above which a unit's moments tell whether it stands at a stationary point."""


def inconsistency(m: Measurements, t: Thresholds, units: Units) -> Evidence | None:
    """Return what shows that the outputs are not what they are taken for; None where nothing does."""
    if m.own_variances is None:
        found = _another_reading(m, t, units) or _bounded_output(m, t, units)
        if found is not None:
            return found
    return _unseen_noise(m, t) or _no_shrinkage(m, t, units)


def _bounded_output(m: Measurements, t: Thresholds, units: Units) -> Evidence | None:
    """Find an output that ends at the bounds of a sigmoid or of a tanh, where the data go on."""
    if not units.active.any() and m.error_at_mean <= t.at_the_mean * m.mean_predictor_error:
        return None  # the mean of the data, which has found its place
    (low, high), (data_low, data_high) = m.output_range, m.data_range
    for least, name in ((0.0, "sigmoid"), (-1.0, "tanh")):
        width = 1.0 - least
        inside, fills = low >= least and high <= 1.0, high - low > _FILLS * width
        near = dict(zip(BOUNDS, m.near_bounds, strict=True))
        ends_below = fills and near[least] > _PILED and data_low < least - _GOES_ON * width
        far_above = data_high - data_low > _FAR * width and near[1.0] > 0
        ends_above = (far_above or (fills and near[1.0] > _PILED)) and data_high > 1.0 + _GOES_ON * width
        if m.likelihood == "gaussian" and inside and (ends_below or ends_above):
            text = (
                f"the decoder's output stays between {least:g} and 1, as after a {name}, but the data go from "
                f"{data_low:.3g} to {data_high:.3g}"
            )
            return Evidence("largest output", high, 1.0, text)
    return None


def _another_reading(m: Measurements, t: Thresholds, units: Units) -> Evidence | None:
    """Find a reading of the output that is far nearer to the data than the output itself."""
    read = m.misreading
    readings = (
        ("the sigmoid of the output", read.as_logits, "the decoder's output looks like logits, not like the data"),
        ("the exponential of the output", read.as_log_mean, "the decoder's output looks like the logarithm of counts"),
        (
            f"{read.scale:.3g} times the output, shifted",
            read.rescaled,
            "the decoder's output has another scale than the data",
        ),
    )
    name, error, reading = min(readings, key=lambda entry: entry[1])
    # A collapsed model stands at the mean predictor under the right reading, which is more than one constant.
    collapsed = not units.active.any() and error < t.trained * read.constant
    near = t.at_the_mean if collapsed else t.trained
    # All are errors of the same examples: those of others differ by chance.
    if read.as_it_is <= t.misread * error or error >= near * read.mean_example:
        return None
    if read.as_it_is < t.at_the_mean * read.mean_example:
        return None
    low, high = m.output_range
    data_low, data_high = m.data_range
    text = f"{reading}: it goes from {low:.3g} to {high:.3g}, the data from {data_low:.3g} to {data_high:.3g}"
    return Evidence(f"error of the output over that of {name}", read.as_it_is / max(error, 1e-300), t.misread, text)


def _unseen_noise(m: Measurements, t: Thresholds) -> Evidence | None:
    """Find a decoder that reconstructs from the posterior's mean, and not from z drawn with the posterior's sigma."""
    if m.error <= m.mean_predictor_error or m.error_at_mean >= t.bad_elsewhere * m.mean_predictor_error:
        return None
    text = (
        f"with z at the posterior's mean the error is {m.error_at_mean / m.mean_predictor_error:.2g} times the mean "
        f"predictor's, with z drawn it is {m.error / m.mean_predictor_error:.2g} times: the decoder was not trained "
        "with this noise. Is z drawn as mu + sigma * eps in training, and is the encoder's second output the log "
        "variance?"
    )
    return Evidence("error with z drawn, over the mean predictor's", m.error / m.mean_predictor_error, 1.0, text)


def _no_shrinkage(m: Measurements, t: Thresholds, units: Units) -> Evidence | None:
    """Find units that carry information with a sigma_z of nearly 1 or more: sigma has no effect, or is another output.

    Where E[mu^2] is above 0.2 and E[mu^2 + sigma^2] is 1, as at a stationary point, E[sigma^2] is below 0.8.
    """
    telling = units.active & (m.second_moment - m.squared_sigma > 2 * _OF_USE) & (m.kl_per_dimension > _OF_USE)
    if m.error_at_mean >= t.trained * m.mean_predictor_error or not telling.any():
        return None
    wide = telling & (m.squared_sigma >= t.squared_sigma)
    if 2 * wide.sum() <= telling.sum():
        return None
    text = (
        f"{wide.sum()} of the {telling.sum()} units that carry information have a sigma_z of nearly 1 or more, which "
        "no minimum of a VAE's loss has: is z drawn as mu + sigma * eps in training, is there an activation on the "
        "encoder's log-variance head, or is its output not the log variance?"
    )
    return Evidence("E[sigma_z^2], median over the active units", float(np.median(m.squared_sigma[telling])), 1.0, text)


def not_trained(m: Measurements, t: Thresholds, units: Units, declared: DeclaredLoss) -> Evidence | None:
    """Return what shows that the model has not learned, or not to the end; None where nothing does."""
    ratio = m.error_at_mean / m.mean_predictor_error
    name = "error over the mean predictor's"
    if not units.active.any() and ratio > t.at_the_mean and not m.autoregressive:
        text = f"no unit is active, and the decoder does not give the mean either{_ranges(m)}"
        return Evidence(name, ratio, t.at_the_mean, text)
    if units.active.any() and ratio > t.trained and (ratio >= 1 or failing_check(m, t, units)):
        return Evidence(name, ratio, t.trained, f"nothing has been learned yet, though units are active{_ranges(m)}")
    if declared.learned and declared.gamma is not None:
        factor = declared.gamma / max(m.error, 1e-300)
        if not 1 / t.gamma_arrived < factor < t.gamma_arrived:
            text = f"the learned gamma, {declared.gamma:.3g}, has not arrived at the error, {m.error:.3g}"
            return Evidence("learned gamma over the error, eq. (10)", factor, t.gamma_arrived, text)
    return None


def _ranges(m: Measurements) -> str:
    """Say from where to where data and output go, where one goes over much more than the other."""
    (low, high), (data_low, data_high) = m.output_range, m.data_range
    spans = sorted((high - low, data_high - data_low))
    if spans[0] > _SPAN * spans[1]:
        return ""
    return f" (the output goes from {low:.3g} to {high:.3g}, the data from {data_low:.3g} to {data_high:.3g})"


def failing_check(m: Measurements, t: Thresholds, units: Units) -> Evidence | None:
    """Return the first check of a stationary point that fails; None where all pass."""
    return next((check for check, passed in stationarity(m, t, units) if not passed), None)


def stationarity(m: Measurements, t: Thresholds, units: Units) -> list[tuple[Evidence, bool]]:
    """Return every check of a stationary point that applies, and whether it passes."""
    checks = [
        _check(
            "share of the error that mean residuals make",
            m.mean_residual_share,
            t.mean_residual,
            "the reconstructions are shifted on average: training has not arrived, or these are not the data of the "
            "training",
        )
    ]
    of_use = units.active & (m.kl_per_dimension > _OF_USE)
    if of_use.any():
        moment = float(np.median(np.abs(m.second_moment[of_use] - 1.0)))
        failing = "the scale of z has not settled: E[mu^2 + sigma^2] is 1 at every minimum"
        checks.append(_check("|E[mu^2 + sigma^2] - 1|, median over units", moment, t.second_moment, failing))
        use = (m.shuffled_error - m.probed_error) / max(m.probed_error, 1e-300)
        reading = "the decoder uses z" if use > t.use_of_z else "units have a KL, but the decoder makes no use of them"
        evidence = Evidence("error that another example's z adds, over the error", float(use), t.use_of_z, reading)
        checks.append((evidence, use > t.use_of_z))
    implied = m.implied_gamma_per_unit[np.isfinite(m.implied_gamma_per_unit)]
    if len(implied) > 1:
        low, high = np.quantile(np.maximum(implied, 1e-300), (0.25, 0.75))
        failing = f"single units imply values of {scale_name(m)} that differ widely: training has not arrived"
        checks.append(_check(f"upper over lower quartile of {scale_name(m)} by unit", high / low, t.agreement, failing))
    if m.amortization_gap is not None and m.kl > _OF_USE:
        failing = "the encoder is far from the best posterior: it has not arrived"
        gap = m.amortization_gap / m.kl
        checks.append(_check("nats gained by refining the posterior, over the KL", gap, t.gap, failing))
    return checks


def _check(name: str, value: float, threshold: float, failing: str) -> tuple[Evidence, bool]:
    passed = bool(value <= threshold)
    return Evidence(name, float(value), threshold, "as at a stationary point" if passed else failing), passed
