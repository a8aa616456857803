"""The page of the bench: step times against other ways to train, targets, and what a step consists of."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

from tfcollapse.records.files import read_json, replacing
from tfcollapse.records.schema import ENVIRONMENT, POSITIVE, Schema, Such, check
from tfcollapse.reports.blocks import Block, Content, Heading, Paragraph, Table, prose
from tfcollapse.reports.markdown import write_markdown
from tfcollapse.reports.provenance_table import provenance_table

Facts = dict[str, Any]
"""A record of the bench, or one of its cases, as JSON holds it."""

NAMES = {"keras_fit": "Keras `fit`", "pytorch": "PyTorch loop", "pythae": "pythae"}
"""What each other way to train is called."""
TARGETS = {
    "dense-2-vae": {"keras_fit": 2.5, "pythae": 3.0, "sgemm": 0.55},
    "dense-10-ae": {"sgemm": 0.5},
    "dense-10-vae": {"sgemm": 0.5},
    "convolutional-1-ae": {"sgemm": 0.65},
    "convolutional-1-vae": {"sgemm": 0.65},
    "convolutional-3-ae": {"sgemm": 0.7},
    "convolutional-3-vae": {"sgemm": 0.7},
}
"""The targets on two cores: times another's steps a second, and a fraction of a matrix product's rate (sgemm)."""
_SUMMARY: Schema = dict.fromkeys(("median", "least", "most"), POSITIVE)
_CASE: Schema = Such(
    {
        "step_ms": {"tfcollapse": _SUMMARY, ...: _SUMMARY},
        "speedup_over": {...: _SUMMARY},
        "flops_per_step": float,
        "fraction_of_sgemm": {"tfcollapse": _SUMMARY, ...: _SUMMARY},
        "first_call_seconds": {"tfcollapse": float},
        "windows_ms": {"sgemm_gflops": Such([POSITIVE], bool, "at least one window")},
    },
    lambda case: (
        set(case["speedup_over"]) <= set(case["step_ms"])
        and ("products" not in case["step_ms"] or {"updates", "drawing"} < set(case["step_ms"]))
    ),
    "the time of every way to train, and of every part of a step",
)
_RECORD: Schema = {
    "backend": str,
    "command": str,
    "device": str,
    "windows": int,
    "environment": ENVIRONMENT,
    "cases": Such({...: _CASE}, bool, "at least one case"),
    "throughput?": {
        ...: {
            "steps_per_second": Such({...: float}, lambda rates: len(rates) == 2, "two rates"),
            "gain": float,
            "auto_jobs": (int, None),
        }
    },
}
"""What the pages read of a record."""
_BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX"}


def terminal_lines(name: str, case: Facts) -> list[str]:
    """Return one case as lines for a terminal."""
    text = [f"{name}: {case['network']}, batch {case['batch']}, {case['backend']}"]
    text.append(f"  tfcollapse    {_ms(case, 'tfcollapse')} ms a step")
    for rival, ratio in case["speedup_over"].items():
        rival_name = NAMES[rival].replace("`", "")
        text.append(f"  {rival_name:13} {_ms(case, rival)} ms a step, {ratio['median']:.2f} times as long")
    peak = case["sgemm_gflops"]["median"]
    for what, fraction in case["fraction_of_sgemm"].items():
        part = "its products alone" if what == "products" else "a step"
        text.append(f"  {fraction['median']:.2f} of the {peak:.0f} GFLOP/s of sgemm in this process: {part}")
    if "products" in case["step_ms"]:
        named = zip(("products", "Adam", "draws", "rest"), _parts_of_step(case), strict=True)
        text.append("  of it " + ", ".join(f"{part} {ms:.2f}" for part, ms in named) + " ms")
    return text


def write(out: pathlib.Path, record: Facts) -> list[pathlib.Path]:
    """Write a record beside those of other backends, and the page of all. Returns what was written."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"bench-{record['backend']}.json"
    with replacing(path, f'"backend": "{record["backend"]}"'.encode()) as partial:
        partial.write_text(json.dumps(record, indent=1))
    return [path, write_page(out)]


def write_page(out: pathlib.Path) -> pathlib.Path:
    """Write the page of all records in `out`, and return its path. Raises RunError."""
    records = [read(path) for path in sorted(out.glob("bench-*.json"), reverse=True)]
    return write_markdown(out / "bench.md", page(records), earlier="| GFLOP a step |")


def read(path: pathlib.Path) -> Facts:
    """Read a record of the bench. Raises RunError."""
    return check(path, read_json(path), _RECORD, "run 'tfcollapse bench' again")


def page(records: Sequence[Facts]) -> list[Block]:
    """Return the page of records, one a backend."""
    return [Heading(1, "Speed"), *(block for record in records for block in _section(record))]


def _section(record: Facts) -> list[Block]:
    cases = record["cases"]
    blocks: list[Block] = [
        Heading(2, _BACKENDS.get(record["backend"], str(record["backend"]))),
        provenance_table([record["environment"] | {"command": record["command"]}], {"device": record["device"]}),
        Paragraph(
            f"Each time is the median of {record['windows']} windows, with the least and the most in brackets. The "
            "windows of all ways to train take turns. Each ratio is taken within a window."
        ),
        _times(cases),
        Paragraph(_about_sgemm(cases)),
    ]
    if rows := targets(record):
        blocks.append(Table(("case", "against", "target", "measured"), rows))
    blocks += _breakdown({name: case for name, case in cases.items() if "products" in case["step_ms"]})
    return [*blocks, *_throughput(record.get("throughput", {}))]


def _times(cases: Facts) -> Table:
    """Return the table of step times, ratios and fractions of a matrix product's rate."""
    rivals = [name for name in NAMES if any(name in case["speedup_over"] for case in cases.values())]
    header: list[Content] = ["case", "ms a step", *(prose(f"{NAMES[name]}: ms, times as long") for name in rivals)]
    header += ["GFLOP a step", "of sgemm", "products alone, of sgemm", "first call: compiles, or reads what was kept"]
    rows = []
    for name, case in cases.items():
        fractions = case["fraction_of_sgemm"]
        rows.append(
            [
                name,
                _ms(case, "tfcollapse"),
                *(_against(case, rival) for rival in rivals),
                f"{case['flops_per_step'] / 1e9:.2f}",
                f"{fractions['tfcollapse']['median']:.2f}",
                f"{fractions['products']['median']:.2f}" if "products" in fractions else "",
                f"{case['first_call_seconds']['tfcollapse']:.1f} s",
            ]
        )
    return Table(header, rows)


def _against(case: Facts, rival: str) -> str:
    ratio = case["speedup_over"].get(rival)
    return f"{_digits(case['step_ms'][rival]['median'])}, {ratio['median']:.2f}" if ratio else ""


def _about_sgemm(cases: Facts) -> str:
    peaks = [value for case in cases.values() for value in case["windows_ms"]["sgemm_gflops"]]
    text = (
        f"A matrix product (sgemm) ran at {min(peaks):.0f} to {max(peaks):.0f} GFLOP/s. It was timed in every window."
    )
    if any("products" not in case["step_ms"] for case in cases.values()):
        text += " The FLOPs of a convolution include those on the zeros of its padding, which a library may skip."
    return text


def targets(record: Facts) -> list[tuple[str, Content, str, str]]:
    """Return every target of a record's cases: case, against what, target, what was measured."""
    rows: list[tuple[str, Content, str, str]] = []
    for name, case in record["cases"].items():
        for against, target in TARGETS.get(name, {}).items():
            group = "fraction_of_sgemm" if against == "sgemm" else "speedup_over"
            ratio = case[group].get("tfcollapse" if against == "sgemm" else against)
            if ratio is not None:
                reached = "reached" if ratio["median"] >= target else f"not reached{_bound(case, against)}"
                measured = f"{ratio['median']:.2f}: {reached}"
            elif record["backend"] == "jax":
                continue  # the others are timed beside TensorFlow
            else:
                measured = "not measured: not installed"
            rows.append((name, prose(NAMES.get(against, against)), f"{target}", measured))
    return rows


def _bound(case: Facts, rival: str) -> str:
    """Return how far a dense step would get that did nothing but its matrix products, as text."""
    if not {rival, "products"} <= set(case["step_ms"]):
        return ""
    ratio = case["step_ms"][rival]["median"] / case["step_ms"]["products"]["median"]
    return f"; its matrix products and nothing else would be {ratio:.2f}"


def _breakdown(cases: Facts) -> list[Block]:
    if not cases:
        return []
    header = ["case", "step", "matrix products", "Adam", "draws, gather", "rest: activations, loss, loop"]
    rows = [
        [name, *(f"{ms:.2f}" for ms in (case["step_ms"]["tfcollapse"]["median"], *_parts_of_step(case)))]
        for name, case in cases.items()
    ]
    about = "This is what a dense step consists of, in ms. Each part is timed alone, in a loop of its own."
    return [Paragraph(about), Table(header, rows)]


def _throughput(cases: Facts) -> list[Block]:
    if not cases:
        return []
    header: list[Content] = [
        "case",
        "one process on all cores",
        "a pinned process a core",
        "gain",
        prose("`--jobs auto`"),
    ]
    rows = []
    for name, case in cases.items():
        alone, pinned = case["steps_per_second"].values()
        rows.append([name, f"{alone:.0f}", f"{pinned:.0f}", f"{case['gain']:.2f}", str(case["auto_jobs"])])
    return [Paragraph("These are the steps a second of all runs together."), Table(header, rows)]


def _parts_of_step(case: Facts) -> list[float]:
    """Return milliseconds of products, Adam and draws, each timed alone, and of the rest of the step."""
    parts = [case["step_ms"][name]["median"] for name in ("products", "updates", "drawing")]
    return [*parts, case["step_ms"]["tfcollapse"]["median"] - sum(parts)]


def _ms(case: Facts, name: str) -> str:
    values = case["step_ms"][name]
    return f"{_digits(values['median'])} ({_digits(values['least'])} to {_digits(values['most'])})"


def _digits(value: float) -> str:
    """Return a number with three significant digits, and without powers of ten."""
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
