"""Put a verdict into plain words: what it says, and what to do next for this model."""

from __future__ import annotations

from tfcollapse.diagnosis import countermeasures
from tfcollapse.diagnosis.categories import CATEGORIES, HEALTHY, IN_USE, INCONSISTENT, NOT_TRAINED, UNDECIDED
from tfcollapse.diagnosis.declared_loss import NEARLY_ONE, DeclaredLoss
from tfcollapse.diagnosis.idle_units import IdleUnits, largest_residual
from tfcollapse.diagnosis.measurements import Measurements, scale_name
from tfcollapse.diagnosis.readings import expected_logs
from tfcollapse.diagnosis.reservations import Reservation
from tfcollapse.diagnosis.units import Units
from tfcollapse.metrics import residual_spectrum

_NEARLY = 1.3
"""The weight that the units imply is within this factor of the true one."""
_BLAME = "tfcollapse.blame_build(build, data)  # build: seed to a fresh (encoder, decoder)"


def headline(
    m: Measurements,
    units: Units,
    categories: tuple[str, ...],
    counts: dict[str, int],
    reserved: Reservation | None,
    idle: IdleUnits,
) -> str:
    """Say the verdict in one sentence, which names every category."""
    first = categories[0]
    in_use = _count(m.latent_dim, "all", "latent unit")
    if first == IN_USE and reserved is not None:
        return f"In use, but {reserved.title}: {in_use} in use, but {reserved.text}."
    if first == HEALTHY:
        return f"Healthy: {in_use} in use, and every check agrees."
    if first == NOT_TRAINED:
        return f"Not trained yet: {idle.evidence[0].reading}."
    if first == INCONSISTENT:
        return f"Inconsistent: {idle.evidence[0].reading.rstrip('?')}{'?' if '?' in idle.evidence[0].reading else '.'}"
    if first == UNDECIDED and UNDECIDED not in counts:
        return f"Undecided: {idle.evidence[0].reading}."
    parts = [_part(m, units, name, counts[name]) for name in categories]
    active = int(units.active.sum())
    weak = active - counts["active"]  # those that the parts count too
    text = f"{'; '.join(parts)}."
    if m.latent_dim > 1:
        text += f" {active} of {m.latent_dim} are active{f', {weak} of them weak' if weak else ''}."
    return text if reserved is None else f"{text} But {reserved.text}."


def _part(m: Measurements, units: Units, name: str, count: int) -> str:
    """Say what is the matter with the units of one category."""
    category = CATEGORIES[name]
    one = m.latent_dim == 1
    state = "dead " if units.dead else f"weak (near the prior{'' if one else ', or repeating others'}) "
    state = "" if not category.harmful else state if count <= len(units.dead) or not units.dead else "dead or weak "
    more = "if it were better used" if one else "with more units in use"
    why = category.why.format(scale=scale_name(m), too_large=_too_large(m), more=more)
    which = "The only latent unit" if one else f"{count} of {m.latent_dim} latent units"
    return f"{which} {'is' if count == 1 else 'are'} {state}{why} ({category.title})"


def _too_large(m: Measurements) -> str:
    """Say what is too large."""
    if m.likelihood == "gaussian":
        return "the decoder variance gamma (times beta) is too large for the error"
    if m.likelihood == "bernoulli" and m.effective_gamma is not None and m.effective_gamma <= NEARLY_ONE:
        return "cross-entropy assumes more noise than these grey data have"
    return "the KL weighs too much against the error"


def next_step(
    m: Measurements,
    units: Units,
    categories: tuple[str, ...],
    declared: DeclaredLoss,
    reserved: Reservation | None,
    idle: IdleUnits,
    blame: str,
) -> str:
    """Say what to do next, with the command or the line of code where there is one."""
    if reserved is not None:
        return reserved.next_step
    first = next((name for name in categories if CATEGORIES[name].harmful), categories[0])
    return CATEGORIES[first].next_step.format(
        enough=_enough(int(units.active.sum())),
        less_weight=_less_weight(m, declared, _weight(m, declared, idle)),
        blame=blame or _BLAME,
        kept=f" ({kept})" if (kept := countermeasures.what_kept_units()) else "",
        settle=_settle(m, declared, idle),
        mend=_mend_outputs(m),
    )


def _weight(m: Measurements, declared: DeclaredLoss, idle: IdleUnits) -> float:
    """Return gamma times beta, or beta alone, that the verdict was made at."""
    told = idle.by_log.weight if idle.by_log else None
    return told or m.effective_gamma or declared.weight or m.optimal_gamma


def _less_weight(m: Measurements, declared: DeclaredLoss, effective: float) -> str:
    """Say how to weigh the KL less.

    Args:
      m, declared: what is known.
      effective: gamma times beta, or beta alone, that the verdict was made at.
    """
    optimal = m.optimal_gamma
    if _is_averaged(m, effective / declared.beta if m.likelihood == "gaussian" else effective):
        return (
            f"sum the error over the {m.dimensions} numbers of an example in place of averaging it, or weight it by "
            f"{m.dimensions}: an average makes the KL weigh {m.dimensions} times as much"
        )
    if m.likelihood == "own variances":
        return f"lower the weight on the KL from {effective:.3g} to 1"
    if m.likelihood == "gaussian":
        lower = f"lower beta from {declared.beta:.3g} to 1" if declared.beta > 1 else ""
        if lower and effective / declared.beta <= optimal:
            return lower
        lower = f"{lower} first; then " if lower else ""
        revived = largest_residual(m) / residual_spectrum.MARGIN / min(1.0, declared.beta)
        return (
            f"{lower}learn gamma, or set it to {optimal:.3g}, which fits the error (that is a weight of "
            f"{0.5 / optimal:.3g} on the squared error summed over numbers); a further unit comes alive below "
            f"{revived:.3g}"
        )
    if effective <= NEARLY_ONE and m.dispersion < 1:
        return (
            f"use a squared error with a learned gamma, or binarise the data, or lower beta to about {m.dispersion:.2g}"
        )
    return (
        f"lower the weight on the KL from {effective:.3g} to {max(optimal, min(1.0, effective)):.2g} (summed, in nats)"
    )


def _is_averaged(m: Measurements, weight: float) -> bool:
    """Tell whether a gamma is near d / 2, or a weight on the KL near d: an error that is averaged over d numbers."""
    averaged = m.dimensions / 2 if m.likelihood == "gaussian" else m.dimensions
    return m.dimensions > 2 and 1 / _NEARLY < weight / averaged < _NEARLY


def _settle(m: Measurements, declared: DeclaredLoss, idle: IdleUnits) -> str:
    """Say what would decide."""
    if idle.readings:
        summed, averaged = expected_logs(m, declared)
        return (
            f"look into the training's log and give its reconstruction loss, logged=VALUE: near {summed:.3g} the error "
            f"was summed over numbers, near {averaged:.3g} averaged "
            f"({'; '.join(idle.readings)})"
        )
    units = "1 latent unit" if m.latent_dim == 1 else f"{m.latent_dim} latent units"
    return f"give more data: {m.images} examples are too few for {units}"


def _mend_outputs(m: Measurements) -> str:
    """Say how to give the outputs their right meaning."""
    read = m.misreading
    if read.as_logits < 0.5 * read.as_it_is and read.as_logits <= read.rescaled:
        return (
            "say so with output='logits' (loss='cross-entropy summed' knows it too), or add the sigmoid to the decoder"
        )
    if read.as_log_mean < 0.5 * read.as_it_is and read.as_log_mean <= read.rescaled:
        return "say so with output='log_mean' and likelihood='poisson'"
    low, high = m.output_range
    if m.likelihood == "gaussian" and low >= -1 and high <= 1 and (m.data_range[0] < low or m.data_range[1] > high):
        return "scale the data into the range of the decoder's last activation, or take that activation off"
    if read.rescaled < 0.5 * read.as_it_is:
        return "give the data in the scale that the model was trained on"
    return (
        "draw z as mu + sigma * eps with sigma = exp(log_variance / 2), take an activation off the encoder's second "
        "output, or say what that output is: spread='sigma', 'variance' or 'log_sigma'"
    )


def _enough(active: int) -> str:
    """Say how many latent units are enough."""
    if not active:
        return "no latent unit would pay on these data"
    return "one latent unit is enough for these data" if active == 1 else f"{active} latent units are enough"


def _count(count: int, word: str, noun: str) -> str:
    """Write "all 8 latent units are"."""
    return f"the {noun} is" if count == 1 else f"{word} {count} {noun}s are"
