"""A VAE of every category, really trained: each gets its own verdict without being told, and its near miss another."""

import zlib

import pytest

from tfcollapse.config.overrides import replace
from tfcollapse.diagnosis.categories import CATEGORIES
from tfcollapse.diagnosis.diagnose import diagnose
from tfcollapse.diagnosis.taxonomy.cases import CASES
from tfcollapse.training import engines
from tfcollapse.training import in_memory as descent

# One seed of a case of each category that takes a few seconds; (iii), (iv) and 20 layers take longer.
FAST = [("healthy", False, 0), ("low rank", False, 0), ("low rank", True, 0)]
FAST += [("large gamma", False, 0), ("large gamma", True, 0), ("Prop. 1's basin", False, 0)]
# The same training as "large gamma".
FAST += [("nothing shows gamma", False, 0), ("nothing shows gamma", True, 0)]


@pytest.fixture(scope="module", autouse=True)
def shared():
    """Runs that differ in their seed or in gamma's start alone are compiled once, and no run is trained twice."""
    compiled, ends = {}, {}

    def train_model(model, run, images):
        program, key = replace(run, {"seed": 0, "objective.gamma_start": 1.0}), (run, zlib.crc32(images))
        if key not in ends:
            if program in compiled:
                compiled[program].begin(model)
            else:
                compiled[program] = engines.engine(model, run)
            rows = descent._train(compiled[program], run, images)
            ends[key] = compiled[program].model.get_weights(), rows
        weights, rows = ends[key]
        model.set_weights(weights)
        return rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descent, "train_model", train_model)
        yield


def every():
    """The cases at three seeds, their near misses at one, for time: `tfcollapse taxonomy --seeds 3` has three."""
    for case in CASES:
        for near, seed in ((False, 0), (False, 1), (False, 2), (True, 0)):
            marks = [] if (case.name, near, seed) in FAST else [pytest.mark.slow]
            yield pytest.param(case, near, seed, marks=marks, id=f"{case.name}{', near miss' if near else ''}-{seed}")


@pytest.mark.parametrize(("case", "near", "seed"), every())
def test_the_verdict_is_the_case_s_own(case, near, seed):
    trained = case.train(seed, near)
    found = diagnose(trained.encoder, trained.decoder, trained.images, trained.gamma)
    assert found.verdict.categories == (case.near if near else case.category,), str(found)


def test_every_category_has_a_case():
    assert {case.category for case in CASES} >= {"healthy", "i", "ii", "iii", "iv", "v"}
    assert {case.category for case in CASES} == set(CATEGORIES)


def test_every_case_has_a_near_miss_of_another_category():
    for case in CASES:
        assert "; near: " in case.about, case.name
        assert case.near in CATEGORIES, case.name
        assert case.near != case.category, case.name
