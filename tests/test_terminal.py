"""A diagnosis as lines for a terminal."""

import pytest
from test_verdict import measurements

from tfcollapse.diagnosis.diagnose import Diagnosis
from tfcollapse.diagnosis.evidence import Evidence
from tfcollapse.diagnosis.measurements import facts
from tfcollapse.diagnosis.terminal import place
from tfcollapse.diagnosis.verdict import decide

MODELS = {
    "healthy": {"dead": 0},
    "superfluous": {},
    "stuck": {"residual": (0.1, 0.1)},
    "undeclared": {"active": 0, "gamma": None, "residual": (0.1,)},
    "counts": {
        "likelihood": "poisson",
        "gamma": 1.0,
        "optimal": 1.0,
        "dispersion": 1.2,
        "predicted_active_units": None,
    },
    "own variances": {"likelihood": "own variances", "own_variances": (1e-6, 0.1, 1.0, 2.0)},
}


@pytest.fixture(params=MODELS)
def diagnosis(request):
    found = measurements(**MODELS[request.param])
    return Diagnosis(found, decide(found))


def test_verdict_and_next_step_come_first_and_everything_fits_the_terminal(diagnosis):
    lines, verdict = diagnosis.lines(), diagnosis.verdict
    start, _, rest = str(diagnosis).partition("\n\nevidence\n")
    assert " ".join(start.split()) == " ".join(f"{verdict.headline} next: {verdict.next_step}".split())
    assert all(len(line) <= 100 for line in lines)
    assert len(rest.split("->")) == len(verdict.evidence) + 1
    assert rest.count("\n  - ") == len(verdict.notes)


def test_sentences_have_no_double_spaces(diagnosis):
    said = str(diagnosis).partition("\nmeasured\n")[0].splitlines()
    values = tuple(f"{evidence.value:.4g}" for evidence in diagnosis.verdict.evidence)
    sentences = [line.lstrip() for line in said if not line.lstrip().startswith(values)]
    assert not [line for line in sentences if "  " in line]


@pytest.mark.parametrize(
    ("value", "threshold", "text"),
    [
        (3.0, 1.5, "2 times the threshold, 1.5"),
        (0.75, 1.5, "2 times below the threshold, 1.5"),
        (1.5, 1.5, "at the threshold, 1.5"),
        (0.0, 1.5, "below the threshold, 1.5"),
        (1e-6, 0.01, "more than 1,000 times below the threshold, 0.01"),
    ],
)
def test_the_place_of_a_number(value, threshold, text):
    assert place(Evidence("", value, threshold, "")) == text


def test_labels_fit_the_likelihood():
    gaussian = facts(measurements())
    assert gaussian["gamma: declared; implied by the units; what fits the error (eq. (10))"] == "0.01; unknown; 0.01"
    counts = facts(measurements(**MODELS["counts"]))
    assert counts["beta: declared; implied by the units; what fits the noise"] == "1; unknown; 1"
    assert counts["squared residual over the likelihood's variance"] == "1.2"
    assert not [name for name in counts if "gamma" in name or "image" in name or "pixel" in name]
