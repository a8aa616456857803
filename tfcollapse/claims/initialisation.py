"""Judge the initialisation study: is a bad minimum or a bad start the reason why the error rises with depth?"""

from __future__ import annotations

from tfcollapse.claims.claim import Claim
from tfcollapse.claims.judging import NOT_TESTED, above_pca, falls_then_rises, of_trained
from tfcollapse.records.statistics import Rows


@of_trained
def initialisation_claims(rows: Rows) -> list[Claim]:
    """Judge for each start the shape of Figure 1 (left) and the comparison with PCA, then report the output's signal.

    The signal is the standard deviation over images of the output of the untrained network.

    Args:
      rows: the rows of AEs at several depths, from one or more initialisers, at least one.
    """
    claims = []
    for start in dict.fromkeys(row["initializer"] for row in rows):
        chosen = [row for row in rows if row["initializer"] == start]
        claims.append(falls_then_rises(chosen, f"from the {start} start the AE's error"))
        claims.append(above_pca(chosen, f"from the {start} start, deep AEs"))
    return [*claims, _signal(rows)]


def _signal(rows: Rows) -> Claim:
    text = "the start: standard deviation over images of the untrained output (ours, a measurement and no claim)"
    parts = []
    for start in dict.fromkeys(row["initializer"] for row in rows):
        signals = {
            row["depth"]: f"{row['depth']}: {row['decoder_signal'][-1]:.2g}"
            for row in rows
            if row["initializer"] == start and row.get("decoder_signal")
        }
        parts.append(f"{start} by depth {', '.join(signals.values()) or 'none'}")
    return Claim(text, NOT_TESTED, "; ".join(parts))
