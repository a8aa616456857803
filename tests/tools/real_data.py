"""Tests of real data run where TFDS_DATA_DIR names prepared data sets."""

import os
import pathlib

import pytest

TFDS = os.environ.get("TFDS_DATA_DIR", "")

real_data = pytest.mark.skipif(
    not pathlib.Path(TFDS, "fashion_mnist").is_dir(), reason="no prepared datasets: TFDS_DATA_DIR names none"
)
