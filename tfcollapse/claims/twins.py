"""Judge the study of twins: is a VAE trained where the AE is that starts from the same weights?"""

from __future__ import annotations

import collections

import scipy  # whose parts are loaded when they are first used

from tfcollapse.claims.claim import NOT_REPRODUCED, NOT_RUN, NOT_TRAINED, REPRODUCED, TOO_CLOSE, Claim
from tfcollapse.claims.completeness import of_family, of_trained
from tfcollapse.claims.trend import SIGNIFICANCE
from tfcollapse.records.statistics import Rows


@of_trained
def twins_claims(rows: Rows) -> list[Claim]:
    """Judge what section 5 concludes: where an AE is stuck, so is the VAE, and the KL term is not to blame.

    The AE and the VAE of one depth and seed are a pair. Fisher's exact two-sided test says whether the two are trained
    from the same starts. It is the one claim that networks which were not trained support, since it is about them.

    Args:
      rows: the rows of AEs and VAEs of the same depths and seeds, at least one.

    Example:
      >>> rows = tc.read_table("results/long/fig1_left.csv")
      >>> claims = tc.claims.twins_claims(rows)
      >>> print(claims[0].text)
      a VAE is trained from the starts from which its AE is, and from no others (section 5)
    """
    text = "a VAE is trained from the starts from which its AE is, and from no others (section 5)"
    aes, vaes = (_trained(of_family(rows, name)) for name in ("AE", "VAE"))
    starts = aes.keys() | vaes.keys()
    pairs = [(aes.get(start), vaes.get(start)) for start in starts]
    count = collections.Counter(pair for pair in pairs if None not in pair)
    both, ae_alone, vae_alone, neither = (count[ae, vae] for ae in (True, False) for vae in (True, False))
    there = count.total()
    brief = (
        f"both trained: {both}; AE alone: {ae_alone}; VAE alone: {vae_alone}; both {NOT_TRAINED}: {neither} of "
        f"{there} starts"
    )
    if not there or there < len(starts):
        so_far = f"so far {brief}; " if there else ""
        return [Claim(text, NOT_RUN, f"{so_far}{there} of {len(starts)} pairs are there")]
    p = float(scipy.stats.fisher_exact([[both, ae_alone], [vae_alone, neither]]).pvalue)
    alike = both * neither > ae_alone * vae_alone
    verdict = TOO_CLOSE if p > SIGNIFICANCE else REPRODUCED if alike else NOT_REPRODUCED
    return [Claim(text, verdict, f"{brief}; Fisher's exact test p = {p:.2g}", brief)]


def _trained(rows: Rows) -> dict[tuple[int, int], bool | None]:
    """Return whether the network of each depth and seed was trained; None where it has not run."""
    ended = {"finished": True, NOT_TRAINED: False}
    return {(row["depth"], row["seed"]): ended.get(row["status"]) for row in rows}
