"""The VAEs of the README, pasted as they stand."""

import pathlib
import re

import pytest
from processes import python

README = pathlib.Path(__file__).parents[1] / "README.md"


def pasted(framework):
    """The README's block of Python that begins with importing a framework."""
    if not README.is_file():
        pytest.skip("the README is not installed with the package")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    return next(block for block in blocks if block.startswith(f"import {framework}"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("framework", "words"),
    [("torch", "sum the error over the 784 numbers"), ("jax", "lower the weight on the KL from 4")],
)
def test_the_readme_s_vae_is_diagnosed(framework, words):
    pytest.importorskip(framework)
    answer = python(pasted(framework), OMP_NUM_THREADS="1")
    assert answer.returncode == 0, answer.stderr
    assert "category (ii)" in answer.stdout
    assert words in " ".join(answer.stdout.split())
