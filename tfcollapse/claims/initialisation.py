"""Judge the initialisation study: is a bad minimum or a bad start the reason why the error rises with depth?"""

from __future__ import annotations

from tfcollapse.claims.capacity import stuck
from tfcollapse.claims.claim import MEASURED, Claim
from tfcollapse.claims.completeness import listed, of_family, of_trained
from tfcollapse.claims.judging import falls_then_rises
from tfcollapse.claims.starts import units_return
from tfcollapse.records.statistics import Mean, Rows, arms


@of_trained
def initialisation_claims(rows: Rows) -> list[Claim]:
    """Judge for each start the shape of Figure 1 (left), and why deep AEs are bad; report the output's signal.

    The signal is the standard deviation over images of the output of the untrained network, over the seeds of the AEs.
    The AEs of one start and seed that are trained in several ways count once.

    Args:
      rows: the rows of AEs at several depths, from one or more initialisers and with one or more values of Adam's
        epsilon, and of VAEs, at least one.

    Example:
      >>> rows = [row for row in tc.read_table("results/long/fig1_left.csv") if row["objective"] == "AE"]
      >>> claims = tc.claims.initialisation_claims(rows)
      >>> print(claims[0].text)
      from the start glorot_uniform the AE's error first falls with depth, then rises
    """
    aes = arms(of_family(rows, "AE"))
    shapes = [
        falls_then_rises(chosen, f"from the start {arm} the AE's error")
        for arm, chosen in aes.items()
        if len({row["depth"] for row in chosen}) > 1
    ]
    return [*shapes, stuck(rows), *units_return(rows), _signal(of_family(rows, "AE"))]


def _signal(rows: Rows) -> Claim:
    text = "the start: standard deviation over images of the untrained output (ours)"
    parts = []
    for start in dict.fromkeys(row["initializer"] for row in rows):
        known = [row for row in rows if row["initializer"] == start and row.get("decoder_signal")]
        seeds = {(row["depth"], row["seed"]): row["decoder_signal"][-1] for row in known}
        signals = {depth: Mean([seeds[place] for place in seeds if place[0] == depth]) for depth, _ in sorted(seeds)}
        parts.append(f"{start} by depth {listed(signals, '.2g')}")
    return Claim(text, MEASURED, "; ".join(parts))
