"""The figure of one diagnosis: what it draws of which measurements."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from test_verdict import measurements

from tfcollapse.diagnosis.diagnose import Diagnosis
from tfcollapse.diagnosis.verdict import decide
from tfcollapse.errors import ConfigError


def diagnosis(shape=(3, 4, 4, 1), **changed):
    examples = np.random.default_rng(0).uniform(-1, 5, shape)
    found = measurements(**({"shown": (examples, 0 * examples)} | changed))
    return Diagnosis(found, decide(found))


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_units_are_bars_by_their_kl_in_the_colour_of_their_category():
    found = diagnosis(active=2, dead=3, residual=(0.1,), kl_per_dimension=np.array([1.0, 3.0, 0.003, 0.002, 0.001]))
    assert found.verdict.per_dimension == ("active", "active", "v", "i", "i")
    units = found.plot().axes[0]
    bars = [bar for bar in units.patches if bar.get_y() == 0]
    assert [bar.get_height() for bar in bars] == [3.0, 1.0, 0.003, 0.002, 0.001]
    assert [round(bar.get_center()[0]) for bar in bars] == [1, 2, 3, 4, 5]
    colours = [to_hex(bar.get_facecolor()) for bar in bars]
    assert len(set(colours[:2])) == len(set(colours[3:])) == 1
    assert len(set(colours)) == 3
    assert labels(units) == ["in use: 2", "category (v): 1", "category (i): 2"]


def test_the_spectrum_has_data_residuals_and_both_gammas():
    found = diagnosis(gamma=0.04, optimal=0.02, residual=(0.1, 0.03))
    spectrum = found.plot().axes[2]
    data, residuals, in_use, fits = spectrum.lines
    np.testing.assert_array_equal(data.get_ydata(), [0.5, 0.2])
    np.testing.assert_array_equal(residuals.get_ydata(), [0.1, 0.03, np.nan, np.nan])  # a logarithm has no 0
    assert (in_use.get_ydata()[0], fits.get_ydata()[0]) == (0.04, 0.02)
    counts = diagnosis(likelihood="poisson", gamma=1.0, optimal=1.0, residual=(0.1,)).plot().axes[2]
    assert labels(counts) == ["residuals", "beta in use: 1", "beta that fits: 1"]
    unknown = diagnosis(active=0, dead=2, gamma=None, optimal=0.02).plot().axes[2]
    assert labels(unknown) == ["data", "residuals", "gamma that fits: 0.02"]


@pytest.mark.parametrize("shape", [(3, 4, 6, 1), (3, 4, 6, 3), (3, 4, 6), (3, 1, 4, 6), (3, 3, 4, 6)])
def test_examples_are_pictures_over_their_reconstructions_in_the_range_of_the_data(shape):
    found = diagnosis(shape)
    examples, _ = found.measurements.shown
    (picture,) = found.plot().axes[3].images
    drawn = np.ma.getdata(picture.get_array())
    assert drawn.shape[:2] == (2 * (4 + 2), 3 * (6 + 2))  # each with a border of one pixel
    first = examples[0] if shape[1] != shape[-1] and shape[1] not in (1, 3) else np.moveaxis(examples[0], 0, -1)
    expected = (first.reshape(4, 6, -1) - examples.min()) / (examples.max() - examples.min())
    np.testing.assert_allclose(drawn[1:5, 1:7].reshape(4, 6, -1), expected)


def test_series_are_lines_and_tables_are_left_out():
    found = diagnosis((3, 50, 2))
    examples, _ = found.measurements.shown
    series = found.plot().axes[3]
    np.testing.assert_array_equal(series.lines[0].get_ydata(), examples[0, :, 0])
    assert labels(series) == ["example", "reconstructed at the mean"]
    assert len(diagnosis((3, 16)).plot().axes) == 3


@pytest.mark.parametrize("name", ["it.png", "it.svg", "it.pdf"])
def test_a_path_is_written_as_its_suffix_says(tmp_path, name):
    diagnosis().plot(tmp_path / name)
    start = (tmp_path / name).read_bytes()[:5]
    assert start == {"it.png": b"\x89PNG\r", "it.svg": b"<?xml", "it.pdf": b"%PDF-"}[name]
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_path_of_another_kind_is_refused_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match=r"it\.txt': expected a figure's file such as it\.png"):
        diagnosis().plot(tmp_path / "it.txt")
