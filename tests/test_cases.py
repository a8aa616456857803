"""A VAE of every category, really trained: each gets its own verdict without being told, and its near miss another."""

import pytest

from tfcollapse.diagnosis.cases import CASES
from tfcollapse.diagnosis.diagnose import diagnose


# The near misses at one seed, for time; `python runs/taxonomy.py --seeds 3` holds them at three.
@pytest.mark.parametrize(("near", "seed"), [(False, 0), (False, 1), (False, 2), (True, 0)])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_verdict_is_the_case_s_own(case, near, seed):
    trained = case.train(seed, near)
    found = diagnose(trained.encoder, trained.decoder, trained.images, trained.gamma)
    assert found.verdict.categories == (case.near if near else case.category,), str(found)


def test_every_category_has_a_case():
    assert {case.category for case in CASES} == {"healthy", "i", "ii", "iii", "iv", "v"}
