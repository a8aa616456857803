"""Judge whether the units of a deep VAE return with a start that lowers the error of its AE."""

from __future__ import annotations

import numpy as np

from tfcollapse.claims.claim import Claim, verdict_of
from tfcollapse.claims.completeness import as_far_as_there, of_family, whole
from tfcollapse.config.declaration import Network
from tfcollapse.records.comparison import compare, compare_units
from tfcollapse.records.seed_noise import spread_of
from tfcollapse.records.statistics import Rows, arms, measured


def units_return(rows: Rows) -> list[Claim]:
    """Judge the deepest VAEs from each start against those from the default one; no claim where there are no VAEs.

    The statement is ours, and is about those starts from which the AE of the same depth has a smaller error than from
    the default one: there the VAE must have more active units. The verdict is "not run" where there is no such start.

    Args:
      rows: the rows of AEs and VAEs at several depths, from several starts.
    """
    text = "a start that lowers a deep AE's error keeps more of its VAE's units active (ours)"
    vaes = of_family(rows, "VAE")
    if not vaes:
        return []
    deepest = max(row["depth"] for row in vaes)
    groups = arms([row for row in rows if row["depth"] == deepest])
    groups = {arm: chosen for arm, chosen in groups.items() if of_family(chosen, "VAE")}
    errors = {arm: measured(of_family(chosen, "AE"), "train_error") for arm, chosen in groups.items()}
    units = {arm: measured(of_family(chosen, "VAE"), "active_units") for arm, chosen in groups.items()}
    complete = [arm for arm in groups if whole(*(of_family(groups[arm], name) for name in ("AE", "VAE")))]
    plain = Network().initializer
    signs, parts = [], []
    for arm in complete if plain in complete else ():
        if arm == plain:
            continue
        error = compare(errors[arm], errors[plain], spread_of(vaes))
        if error.sign < 0:
            signs.append(compare_units(units[arm], units[plain], vaes[0]["latent_dim"]))
        parts.append(f"{arm}: AE's error {error}, {np.mean(units[arm]):.4g} units against {np.mean(units[plain]):.4g}")
    nothing = "; no start lowers the AE's error" if parts and not signs else ""
    evidence = f"at depth {deepest}, against {plain}: {'; '.join(parts) or 'none'}{nothing}"
    needed = [row for each in groups.values() for row in each]
    return [as_far_as_there(Claim(text, verdict_of(signs), evidence), needed, contradicted=True)]
