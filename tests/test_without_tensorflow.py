"""What needs NumPy alone runs where TensorFlow and Keras are absent, and so do its tests."""

import os
import subprocess
import sys

import pytest
from processes import ROOT

LIGHT = (
    "blocks",
    "columns",
    "config",
    "draws",
    "figures",
    "information",
    "overview",
    "paper_slips",
    "record",
    "residual_spectrum",
    "studies",
    "theory_affine",
    "theory_basin",
    "theory_local_minimum",
    "theory_stationary",
    "theory_thresholding",
    "trained",
    "verdict",
)
"""The test files that need neither."""

ABSENT = "import sys\nfor name in ('tensorflow', 'keras', 'tensorflow_datasets'):\n    sys.modules[name] = None\n"


QUICK = ("draws", "information", "residual_spectrum", "trained", "verdict")
"""Those of them that are run here a second time; the others are read, which imports what they test."""


@pytest.mark.slow
@pytest.mark.parametrize(("names", "more"), [(LIGHT, ["--collect-only"]), (QUICK, [])], ids=["read", "run"])
def test_the_numpy_files_need_no_tensorflow(names, more, tmp_path):
    (tmp_path / "absent.py").write_text(ABSENT)
    answer = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "absent",
            "-n",
            "0",
            *more,
            *(f"tests/test_{name}.py" for name in names),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout[-3000:]
