import shutil

import matplotlib.image
import numpy as np
import pytest
from examples import tiny
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tfcollapse import load_model
from tfcollapse.cli import main as cli
from tfcollapse.config.declaration import Data, Objective, Run
from tfcollapse.config.overrides import replace
from tfcollapse.data.dataset import load
from tfcollapse.errors import ConfigError, RunError
from tfcollapse.figures.pictures import Line, picture_figure
from tfcollapse.studies.pictures import COUNT, pictures
from tfcollapse.training.trainer import train


def test_every_finished_model_has_a_line_of_what_it_reconstructs_and_samples(finished, tmp_path):
    runs = [tiny(objective=Objective(kind="ae")), tiny(), tiny(steps=60)]
    train(runs[0], tmp_path)
    shutil.copytree(finished, tmp_path / runs[1].run_id)
    grid = pictures(runs, tmp_path).axes
    assert [axes.get_ylabel() for axes in grid[::2]] == ["test image", "AE, depth 2", "VAE, depth 2, gamma optimal"]
    images = load(runs[0].data).test[:COUNT] / np.float32(255)
    model = load_model(tmp_path / runs[1].run_id / "model.keras")

    def strip(found):
        return np.clip(np.concatenate(list(np.asarray(found)), axis=1)[..., 0], 0, 1)

    drawn = [axes.images[0].get_array() if axes.images else None for axes in grid]
    assert np.allclose(drawn[0], strip(images))
    assert np.allclose(drawn[4], strip(model.reconstruct(images)), atol=1e-6)
    assert np.allclose(drawn[5], strip(model.sample(COUNT)), atol=1e-6)
    assert drawn[1] is None  # no sample stands beside the originals,
    assert drawn[3] is None  # nor beside an AE


def test_the_command_draws_a_sweep_s_pictures(finished, tmp_path):
    study = tmp_path / "one.py"
    study.write_text(
        """
from examples import tiny
from tfcollapse.claims import depth_claims
from tfcollapse.figures import depth_figure
from tfcollapse.studies.study import Study
STUDY = Study(title="t", presets={"smoke": [tiny()]}, draw=depth_figure, claims=depth_claims)
"""
    )
    arguments = [str(study), "--preset", "smoke", "--out", str(tmp_path)]
    shutil.copytree(finished, tmp_path / "runs" / finished.name)
    assert cli.main(["sweep", *arguments, "--index", "0"]) == 0
    assert cli.main(["pictures", *arguments]) == 0
    assert matplotlib.image.imread(tmp_path / "one-pictures.png").std() > 0.05


def test_long_labels_are_not_cut_off():
    images = np.zeros((COUNT, 28, 28, 1))
    figure = picture_figure(
        [Line("VAE + KL warm-up, depth 10, he_normal, gamma optimal", images)] * 3, "one line\nanother"
    )
    FigureCanvasAgg(figure).draw()
    boxes = [axes.yaxis.label.get_window_extent() for axes in figure.axes]
    assert min(box.x0 for box in boxes) >= 0
    assert min(box.x0 for box in boxes) < 0.1 * figure.bbox.width  # nor is the space wasted


def test_images_whose_licence_forbids_it_are_not_shown(tmp_path):
    celebrities = replace(Run(), {"data": Data(name="celeb_a")})
    with pytest.raises(ConfigError, match="received celeb_a, whose images"):
        pictures([celebrities], tmp_path)
    with pytest.raises(RunError, match="holds none of the 1 models: run the sweep first"):
        pictures([tiny()], tmp_path)
