"""Judge the warm-up study: does a warm-up of the KL weight, or of gamma, mend deep VAEs?"""

from __future__ import annotations

from tfcollapse.claims.claim import Claim
from tfcollapse.claims.completeness import of_family, of_trained
from tfcollapse.claims.judging import judge_order
from tfcollapse.claims.remedy import Remedy, judge_no_remedy
from tfcollapse.records.statistics import Rows

_KINDS = {"the KL weight": "VAE + KL warm-up", "gamma": "VAE + gamma warm-up"}


@of_trained
def warmup_claims(rows: Rows) -> list[Claim]:
    """Judge section 5.2 on KL warm-up at the deepest networks of a table.

    However small gamma is at any time, the VAE's error is not likely to be below the AE's, and the trajectory may lead
    to a collapsed posterior all the same: warm-up does not bring back most of the units that the shallowest VAE with
    the same warm-up has beyond the deepest one without.

    Args:
      rows: the rows of AEs, VAEs, and VAEs with one or both kinds of warm-up, at several depths, at least one.

    Example:
      >>> rows = tc.read_table("results/long/fig1_left.csv")
      >>> warm = {"objective": "VAE + KL warm-up", "warmup": "kl", "warmup_steps": 20_000}
      >>> rows += [row | warm for row in rows if row["objective"] == "VAE"]  # as if these had been trained
      >>> claims = tc.claims.warmup_claims(rows)
      >>> print(claims[0].text)
      at depth 10 a warm-up of the KL weight leaves the VAE's error above the AE's (section 5.2)
    """
    deepest, shallowest = (choose(row["depth"] for row in rows) for choose in (max, min))
    deep, shallow = ([row for row in rows if row["depth"] == depth] for depth in (deepest, shallowest))
    warm = {kind: of_family(deep, name) for kind, name in _KINDS.items()}
    against_shallow = {
        f"warm-up of {kind}": Remedy(treated, of_family(shallow, _KINDS[kind])) for kind, treated in warm.items()
    }
    errors = [
        judge_order(
            f"at depth {deepest} a warm-up of {kind} leaves the VAE's error above the AE's (section 5.2)",
            {"AE": of_family(deep, "AE"), "VAE": treated},
        )
        for kind, treated in warm.items()
    ]
    text = f"at depth {deepest} warm-up does not bring back most of the units that depth {shallowest} has beyond it"
    units = judge_no_remedy(f"{text} (section 5.2)", of_family(deep, "VAE"), against_shallow, "active_units")
    return [*errors, units]
