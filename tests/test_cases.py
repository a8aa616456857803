"""VAEs of known cause get the verdict that is true of them, without being told; and the page counts rightly."""

import dataclasses
import math

import numpy as np
import pytest

from tfcollapse.diagnosis.categories import CATEGORIES, HEALTHY, UNDECIDED
from tfcollapse.diagnosis.taxonomy.affine_vae import affine_vae, duplicated, known_data
from tfcollapse.diagnosis.taxonomy.case import EIGENVALUES
from tfcollapse.diagnosis.taxonomy.cases import CASES, GROUPS
from tfcollapse.diagnosis.taxonomy.results import Outcome, outcome
from tfcollapse.diagnosis.taxonomy.small_vae import SmallVAE
from tfcollapse.diagnosis.verdict import Verdict
from tfcollapse.reports import taxonomy_page

EVERY = [(group, case) for group, cases in GROUPS.items() for case in cases]
# One of each category that is trained in Keras; `tfcollapse taxonomy` has the others, and three seeds.
IN_KERAS = ("eight latents", "own covariance", "autoregressive", "Prop. 1's basin", "convolutional")

# In closed form too, but of more numbers: a second or two each.
LARGE = ("gamma 98", "at the mean", "Fashion-MNIST", "256 units", "soft collapse by gamma", "white noise")


def parameters():
    for group, case in EVERY:
        trained_in_keras = group == "the paper's categories, trained in Keras"
        if case.closed_form or case.name in IN_KERAS or not trained_in_keras:
            marks = [] if case.closed_form and case.name not in LARGE else [pytest.mark.slow]
            yield pytest.param(group, case, marks=marks, id=f"{group}-{case.name}")


@pytest.mark.parametrize(("group", "case"), parameters())
def test_the_verdict_is_true(group, case):
    found = outcome(group, case, 0)
    assert not found.wrong, taxonomy_page.line(found) + taxonomy_page.decisive(found)


def test_there_are_cases_of_every_category():
    assert {case.truth for case in CASES} == set(CATEGORIES)
    assert len(CASES) >= 60
    assert len({(group, case.name) for group, case in EVERY}) == len(EVERY)
    assert all(case.why and {case.truth, *case.accepted} <= set(CATEGORIES) for case in CASES)


def energy(vae, data, gamma):
    """Eq. (4) halved, without d log gamma, of an affine VAE: nats an example."""
    flat = data.reshape(len(data), -1).astype(np.float64)
    mean, log_variance = vae.encode(data)
    error = np.square(flat - vae.decode(mean).reshape(flat.shape)).sum(axis=1).mean()
    error += (np.square(vae.weights).sum(axis=0) * vae.latent_variance).sum()
    kl = 0.5 * (np.square(mean) + np.exp(log_variance) - log_variance - 1).sum(axis=1).mean()
    return error / (2 * gamma) + kl


@pytest.mark.parametrize("make", [
    lambda data: affine_vae(data, 4, 0.01),
    lambda data: affine_vae(data, 2, 0.01, serving=(2, 1)),
    lambda data: affine_vae(data, 3, 0.01).without(0),
    lambda data: duplicated(data, 0.01),
])  # fmt: skip
def test_a_vae_in_closed_form_is_stationary(make):
    data = known_data(0, count=256)
    vae, random, step = make(data), np.random.default_rng(0), 1e-5
    for name in ("weights", "encoder", "latent_variance", "bias"):
        value = getattr(vae, name)
        change = step * random.standard_normal(value.shape)
        # The encoder's bias is tied to the decoder's here; moving both keeps the energy's derivative 0.
        above, below = (
            energy(dataclasses.replace(vae, **{name: value + sign * change}), data, 0.01) for sign in (1, -1)
        )
        assert (above - below) / (2 * step) == pytest.approx(0, abs=1e-4), name


def test_known_data_have_the_eigenvalues():
    flat = known_data(3, scale=2.0, offset=-1.0).reshape(2_048, -1).astype(np.float64)
    assert np.linalg.eigvalsh(np.cov(flat.T, bias=True))[::-1] == pytest.approx(4 * np.array(EIGENVALUES), rel=1e-4)


@pytest.mark.parametrize(
    ("link", "theta"), [("mean", math.inf), ("logits", math.inf), ("log_mean", math.inf), ("log_mean", 2.0)]
)
def test_the_small_vae_s_gradient_is_that_of_its_loss(link, theta):
    random = np.random.default_rng(0)
    vae = SmallVAE((5,), 2, 6, link=link, seed=1)
    rows, noise = random.integers(0, 2, (20, 5)).astype(float), random.standard_normal((20, 2))
    vae._vector[:-1] += 0.1 * random.standard_normal(len(vae._vector) - 1)  # off the kinks of ReLUs at 0
    vae.random = type("Fixed", (), {"standard_normal": lambda self, shape: noise})()

    def loss():
        mean, log_variance = vae.encode(rows)
        x = vae.decode(mean + np.exp(log_variance / 2) * noise)
        if link == "mean":
            nll = np.square(rows - x) / (2 * 0.05)
        elif link == "logits":
            nll = -rows * np.log(x) - (1 - rows) * np.log(1 - x)
        elif theta == math.inf:
            nll = x - rows * np.log(x)
        else:
            nll = (theta + rows) * np.log(theta + x) - rows * np.log(x)
        kl = 0.5 * (np.square(mean) + np.exp(log_variance) - log_variance - 1)
        return (nll.sum(axis=1) + 0.7 * kl.sum(axis=1)).mean()

    gradient = vae._gradient(rows, 0.05, 0.7, 0.0, theta)
    for index in range(len(vae._vector) - 1):  # the last is log gamma, which is fixed
        vae._vector[index] += 1e-6
        above = loss()
        vae._vector[index] -= 2e-6
        below = loss()
        vae._vector[index] += 1e-6
        assert gradient[index] == pytest.approx((above - below) / 2e-6, abs=1e-6, rel=1e-5)


def said(case, *categories):
    verdict = dataclasses.replace(VERDICT, categories=categories)
    return Outcome("group", case, 0, verdict, "", 1.0)


@pytest.fixture(scope="module", autouse=True)
def _verdict():
    global VERDICT
    VERDICT = outcome(*EVERY[0], 0).verdict
    assert isinstance(VERDICT, Verdict)


def test_what_counts_as_right_undecided_and_wrong():
    case = dataclasses.replace(CASES[0], truth="v", accepted=("ii",))
    found = [said(case, "v"), said(case, "ii"), said(case, UNDECIDED), said(case, "i"), said(case, "v", "i")]
    assert [one.right for one in found] == [True, True, False, False, False]
    assert [one.undecided for one in found] == [False, False, True, False, False]
    assert [one.wrong for one in found] == [False, False, False, True, True]
    assert taxonomy_page.count_sentence(found) == (
        "1 cases, 5 verdicts: 2 right (1 of them name what is accepted beside the truth), 1 undecided where the cause "
        "can be told (20.0%), 2 wrong (40.0%)."
    )
    table = taxonomy_page.matrix(found)
    assert table.header == ("true cause", "i", "v", "undecided", "several")
    assert table.rows == [("v", "1", "2", "1", "1")]


def test_undecided_is_right_where_nothing_can_tell():
    case = dataclasses.replace(CASES[0], truth=UNDECIDED, accepted=())
    assert said(case, UNDECIDED).right
    assert said(case, HEALTHY).wrong
