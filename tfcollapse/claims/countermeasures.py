"""Judge the study of countermeasures: does what lowers the AE's error revive units, and what do other objectives do?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from tfcollapse.claims.claim import MEASURED, NOT_REPRODUCED, NOT_RUN, Claim, verdict_of
from tfcollapse.claims.completeness import as_far_as_there, of_family, of_trained, states, whole
from tfcollapse.claims.correlation import FEWEST, rank_correlation
from tfcollapse.records.arms import aes_of, amounts, by_network, by_objective, objective_arm
from tfcollapse.records.comparison import compare
from tfcollapse.records.seed_noise import spread_of
from tfcollapse.records.statistics import (
    PLAIN,
    Row,
    Rows,
    aes_and_vaes,
    at_depth,
    dataset_without_version,
    mean_and_sd,
    measured,
)


@of_trained
def countermeasures_claims(rows: Rows) -> list[Claim]:
    """Judge at the deepest networks of a table whether a better AE has more active units in its VAE (section 7).

    The AE and the VAE of each change of the network or of the training are a pair. Spearman's rank correlation of the
    AE's error with the VAE's active units must be negative. The changes of the objective alone are judged by section
    5.2, which expects that none brings the VAE's error to the AE's. Two claims of ours say what every arm obtained.

    Args:
      rows: the rows of AEs and VAEs with several changes, at one depth or more, at least one.

    Example:
      >>> rows = [row for row in tc.read_table("results/long/fig1_left.csv") if row["objective"] != "VAE + KL warm-up"]
      >>> claims = tc.claims.countermeasures_claims(rows)
      >>> print(claims[0].text)
      at depth 10 a change of network or training whose AE is better has more active units in its VAE (section 7)
    """
    deep = at_depth(rows, max)
    deepest = deep[0]["depth"]
    networks, objectives = by_network(deep), by_objective(deep)
    return [
        _better_aes(f"at depth {deepest}", networks),
        _errors_of_objectives(f"at depth {deepest}", deep, objectives),
        _obtained(f"at depth {deepest} each change of the objective alone (ours)", objectives),
        _obtained(f"at depth {deepest} each change of network or training (ours)", networks),
    ]


def _better_aes(where: str, networks: dict[str, list[Row]]) -> Claim:
    text = f"{where} a change of network or training whose AE is better has more active units in its VAE (section 7)"
    twins = {arm: (of_family(chosen, "AE"), of_family(chosen, "VAE")) for arm, chosen in networks.items()}
    twins = {arm: pair for arm, pair in twins.items() if all(pair)}
    needed = [row for pair in twins.values() for rows in pair for row in rows]
    errors, units = {}, {}
    for arm, (aes, vaes) in twins.items():
        if whole(aes, vaes) and measured(vaes, "active_units"):
            errors[arm] = float(np.mean(measured(aes, "train_error")))
            units[arm] = float(np.mean(measured(vaes, "active_units")))
    pooled = _pooled([dataset_without_version(row) for row in needed], [row["run_id"] for row in needed])
    needed = list({row["run_id"]: row for row in needed}.values())
    parts = [f"{arm}: AE {errors[arm]:.5f}, {units[arm]:.4g} units" for arm in sorted(errors, key=errors.__getitem__)]
    if len(errors) < FEWEST or pooled:
        few = pooled or f"the rank test needs {FEWEST} pairs of an AE and its VAE, and there are {len(errors)}"
        return as_far_as_there(Claim(text, NOT_RUN, "; ".join([few, *parts])), needed)
    found = rank_correlation(list(errors.values()), list(units.values()))
    over = f"of the AE's error and the VAE's units over {len(errors)} arms{_of_one_architecture(twins, errors, units)}"
    brief, evidence = f"{found.brief} {over}", "; ".join([f"{found} {over}", *parts])
    return as_far_as_there(Claim(text, verdict_of([-found.sign]), evidence, brief), needed)


def _of_one_architecture(twins: dict[str, tuple[Rows, Rows]], errors: dict[str, float], units: dict[str, float]) -> str:
    """Return the correlation over the arms of the most frequent architecture, as text; empty where it is that of all.

    A correlation over all arms may be the difference of two architectures and nothing else.
    """
    kinds = {arm: twins[arm][0][0]["architecture"] for arm in errors}
    kind, count = Counter(kinds.values()).most_common(1)[0]
    if not FEWEST <= count < len(kinds):
        return ""
    alone = [arm for arm, its in kinds.items() if its == kind]
    found = rank_correlation([errors[arm] for arm in alone], [units[arm] for arm in alone])
    return f"; {found.brief} over the {count} whose architecture is {kind}"


def _pooled(datasets: Sequence[str], runs: Sequence[str]) -> str:
    """Say why pairs are not independent of each other; empty where they may be."""
    if len(set(datasets)) > 1:
        return f"the pairs are of several datasets ({', '.join(dict.fromkeys(datasets))}), and a rank test takes one"
    if len(set(runs)) < len(runs):
        return "an AE has several VAEs (gamma differs), and a rank test takes one pair of each network"
    return ""


def _errors_of_objectives(where: str, deep: Rows, objectives: dict[str, list[Row]]) -> Claim:
    text = f"{where} every change of the objective alone leaves the VAE's error above the AE's (section 5.2)"
    changed = {arm: vaes for arm, vaes in objectives.items() if objective_arm(vaes[0]) != PLAIN}
    twins = {arm: aes_of(vaes, deep) for arm, vaes in changed.items()}
    needed = [row for row in deep if any(row in rows for rows in (*changed.values(), *twins.values()))]
    signs, parts = [], []
    for arm, vaes in changed.items():
        if whole(vaes, twins[arm]):
            above, below = measured(vaes, "train_error"), measured(twins[arm], "train_error")
            found = compare(above, below, spread_of(vaes), places=len(changed))
            signs.append(found.sign)
            parts.append(f"{arm} {found}")
    alone = [arm for arm, aes in twins.items() if not aes]
    verdict = verdict_of(signs)
    if alone and verdict != NOT_REPRODUCED:
        verdict = NOT_RUN
        parts.append(f"no AE of the same network for {', '.join(alone)}")
    evidence = f"VAE's error against the AE's: {', '.join(parts)}" if parts else ""
    brief = f"holds for {signs.count(1)} of {len(signs)} changes that were compared" if signs else ""
    return as_far_as_there(Claim(text, verdict, evidence, brief), needed, contradicted=True)


_SHOWN = (
    ("train_error", "{:.5f}"),
    ("active_units", "{:.4g} units"),
    ("effective_rank", "rank {:.3g}"),
    ("mutual_information", "I_q {:.3g}"),
    ("test_negative_elbo", "negative ELBO {:.1f}"),
)
"""What stands of a VAE in the evidence. Of an AE it is the first."""


def _obtained(text: str, groups: dict[str, list[Row]]) -> Claim:
    """Return what the VAEs of every arm obtained, and the errors of their AEs, as a measurement."""
    parts = []
    for arm, chosen in groups.items():
        aes, vaes = aes_and_vaes(chosen)
        said = [_means(aes, "AE ", _SHOWN[:1]) if aes else "", _means(vaes, "VAE ", _SHOWN) if vaes else ""]
        parts.append(f"{arm}{amounts(vaes)}: {', '.join(filter(None, said))}")
    return Claim(text, MEASURED, "; ".join(parts))


def _means(rows: Rows, whose: str, shown: Sequence[tuple[str, str]]) -> str:
    """Return the means over the seeds of one arm, or why there are none: a mean over some seeds is of a selection."""
    if not whole(rows):
        return f"{whose}{states(rows)}"
    found = {form: measured(rows, column) for column, form in shown}
    return whose + ", ".join(form.format(mean_and_sd(values)[0]) for form, values in found.items() if values)
