"""A VAE is held against the AE of its start: what the study says on tables that are made to tempt it."""

import itertools

import numpy as np
import pytest
from examples import table_row

from tfcollapse import claims, figures
from tfcollapse.claims.claim import NOT_REPRODUCED, NOT_RUN, REPRODUCED, TOO_CLOSE
from tfcollapse.models.build import build
from tfcollapse.studies.study import load_study

MEAN = 0.087


def _pairs(*trained):
    """Rows of an AE and a VAE for each start; each pair says whether the AE and the VAE were trained."""
    rows = []
    for seed, pair in enumerate(trained):
        for objective, is_trained in zip(("AE", "VAE"), pair, strict=True):
            gamma = {"gamma_mode": "optimal", "gamma": 0.02, "active_units": 5} if objective == "VAE" else {}
            error = 0.02 + seed / 1e4 if is_trained else MEAN
            rows.append(table_row(objective=objective, seed=seed, train_error=error, latent_dim=64, **gamma))
    return rows


ALIKE = [(True, True)] * 5 + [(False, False)] * 3
CHANCE = list(itertools.product((True, False), repeat=2)) * 2
THE_KL_KILLS = [(True, False)] * 8
OPPOSITE = [(True, False)] * 4 + [(False, True)] * 4


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        (ALIKE, REPRODUCED),
        (ALIKE[2:], TOO_CLOSE),  # three of each kind: p = 0.1
        (CHANCE, TOO_CLOSE),
        (THE_KL_KILLS, TOO_CLOSE),  # no AE was stuck, so the statement is not tried
        ([(True, True)] * 8, TOO_CLOSE),
        ([(False, False)] * 8, TOO_CLOSE),
        (OPPOSITE, NOT_REPRODUCED),
    ],
)
def test_starts_of_both_kinds_decide_and_nothing_else_does(pairs, verdict):
    (claim,) = claims.twins_claims(_pairs(*pairs))
    assert claim.verdict == verdict
    assert "left out" not in claim.evidence  # untrained networks are what it is about


def test_the_evidence_counts_every_pair():
    (claim,) = claims.twins_claims(_pairs(*ALIKE, (True, False)))
    assert claim.brief == "both trained: 5; AE alone: 1; VAE alone: 0; both not trained: 3 of 9 starts"


def test_a_run_that_is_missing_leaves_the_claim_open():
    rows = _pairs(*ALIKE)
    rows[-1] |= {"status": "unfinished", "train_error": None}
    (claim,) = claims.twins_claims(rows)
    assert claim.verdict == NOT_RUN
    assert claim.evidence.startswith("so far both trained: 5;")
    assert claim.evidence.endswith("7 of 8 pairs are there")
    assert claims.twins_claims(_pairs(*ALIKE)[:-1])[0].verdict == NOT_RUN


def test_the_two_of_a_pair_start_from_the_same_weights():
    ae, vae = load_study("twins").presets["smoke"]
    assert (ae.network, ae.data, ae.training, ae.seed) == (vae.network, vae.data, vae.training, vae.seed)
    ours, theirs = (build(run, (32, 32, 1)) for run in (ae, vae))
    for mine, its in zip(ours.decoder.get_weights(), theirs.decoder.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)
    alike = {weight.path: weight.numpy() for weight in theirs.encoder.weights}
    shared = [weight for weight in ours.encoder.weights if weight.path in alike]
    assert len(shared) == len(ours.encoder.weights)
    for weight in shared:
        np.testing.assert_array_equal(weight.numpy(), alike[weight.path])


def test_untrained_networks_are_hollow():
    (axes,) = figures.twins_figure(_pairs(*ALIKE)).axes
    faces = [
        line.get_markerfacecolor() for line in axes.lines if line.get_marker() in ("o", "s") and len(line.get_xdata())
    ]
    assert (faces.count("white"), len(faces)) == (6, 16)
