import pytest
from examples import tiny

from tfcollapse.config.declaration import Network, Objective, Run
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import expected_shape
from tfcollapse.models.description import describe
from tfcollapse.records.run_directory import RunDirectory
from tfcollapse.studies import listing
from tfcollapse.studies.cost import seconds_left
from tfcollapse.studies.study import load_study
from tfcollapse.training.trainer import train


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (Network(depth=0), (28, 28, 1)),
        (Network(depth=1), (28, 28, 1)),
        (Network(depth=4, width=100, latent_dim=7), (28, 28, 1)),
        (Network(architecture="skip_dense", depth=1), (28, 28, 1)),
        (Network(architecture="skip_dense", depth=4, width=100, latent_dim=7), (28, 28, 1)),
        (Network(architecture="residual_dense", depth=0), (28, 28, 1)),
        (Network(architecture="residual_dense", depth=4, width=100, latent_dim=7, norm="layer"), (28, 28, 1)),
        (Network(architecture="convolutional", depth=1, base_channels=4), (32, 32, 3)),
        (Network(architecture="convolutional", depth=3, base_channels=4), (64, 64, 1)),
        (Network(architecture="residual", depth=1, block_depth=2, base_channels=4), (32, 32, 3)),
        (
            Network(architecture="residual", depth=2, block_depth=3, base_channels=4, shortcut="projection"),
            (64, 64, 3),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_the_closed_form_counts_what_the_layers_do(network, shape, kind):
    facts = describe(Run(network=network, objective=Objective(kind=kind)), shape)
    spec = network.spec
    assert spec.flops_per_image(network, shape, variational=kind == "vae") == facts["flops_per_image"]
    sixth = spec.flops_per_image(network, shape, variational=kind == "vae", samples=6) - facts["flops_per_image"]
    assert sixth == 5 * facts["decoder"]["flops"]


def test_a_run_that_has_begun_is_judged_by_itself_and_others_by_it(tmp_path):
    runs = [tiny(steps=60), tiny(steps=120), tiny(steps=120, seed=1)]
    for run in runs[:1]:
        train(run, tmp_path)
    directories = [RunDirectory(tmp_path / run.run_id, run) for run in runs]
    done, longer, unknown = seconds_left(runs, directories, [(28, 28, 1)] * 2 + [None])
    assert done == 0
    step, seconds = (float(directories[0].last_metrics[name]) for name in ("step", "seconds"))
    assert longer == pytest.approx(120 * seconds / step, rel=0.01)  # the same network: twice the steps of 60
    assert unknown is None
    lines = listing.lines(runs, tmp_path, None)
    assert lines[0].split()[1:3] == ["finished", "-"]
    assert lines[1].split()[1:3] == ["not", "begun"]
    assert "~" in lines[1]
    assert "of training left" in lines[-1]


def test_with_nothing_begun_a_deeper_network_takes_longer(tmp_path):
    runs = [Run(network=Network(depth=depth)) for depth in (2, 10)]
    directories = [RunDirectory(tmp_path / run.run_id, run) for run in runs]
    shallow, deep = seconds_left(runs, directories, [(28, 28, 1)] * 2)
    assert 2 < deep / shallow < 6
    assert 60 < shallow < 24 * 3600


def test_the_shape_is_known_without_reading_images(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    (wide,) = {run.data for run in load_study("fig2").runs("paper")}
    assert expected_shape(wide) == (64, 64, 3)  # not prepared here, and yet declared by crop, resize and channels
    assert expected_shape(replace(Run(), {"data.name": "cifar10"}).data) is None
    assert expected_shape(replace(Run(), {"data.name": "fashion_mnist_mini", "data.crop": (0, 20, 4, 24)}).data) == (
        20,
        20,
        1,
    )
