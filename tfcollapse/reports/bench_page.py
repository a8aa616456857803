"""Findings of the bench as text, and as the page results/bench.md."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

from tfcollapse.records.files import replacing

Facts = dict[str, Any]

NAMES = {"keras_fit": "Keras `fit`", "pytorch": "PyTorch loop", "pythae": "pythae"}
TARGETS = {
    "dense-2-vae": {"keras_fit": 2.5, "pythae": 3.0, "sgemm": 0.55},
    "dense-10-ae": {"sgemm": 0.5},
    "dense-10-vae": {"sgemm": 0.5},
    "convolutional-1-ae": {"sgemm": 0.65},
    "convolutional-1-vae": {"sgemm": 0.65},
    "convolutional-3-ae": {"sgemm": 0.7},
    "convolutional-3-vae": {"sgemm": 0.7},
}
"""What was set out for on two cores: times another's steps a second, and a fraction of sgemm."""


def lines(name: str, facts: Facts) -> list[str]:
    """One case as text."""
    text = [f"{name}: {facts['network']}, batch {facts['batch']}, {facts['backend']}"]
    text.append(f"  tfcollapse    {_ms(facts, 'tfcollapse')} ms a step")
    for rival, ratio in facts["speedup_over"].items():
        label = NAMES[rival].replace("`", "")
        text.append(f"  {label:13} {_ms(facts, rival)} ms a step, {ratio['median']:.2f} times as long")
    peak = facts["sgemm_gflops"]["median"]
    for what, fraction in facts["fraction_of_sgemm"].items():
        label = "its products alone" if what == "products" else "a step"
        text.append(f"  {fraction['median']:.2f} of the {peak:.0f} GFLOP/s of sgemm in this process: {label}")
    if "products" in facts["step_ms"]:
        named = zip(("products", "Adam", "draws", "rest"), _parts(facts), strict=True)
        text.append("  of it " + ", ".join(f"{name} {ms:.2f}" for name, ms in named) + " ms")
    return text


def _parts(facts: Facts) -> list[float]:
    """Milliseconds of products, Adam and draws, each timed alone, and what is left of the step."""
    parts = [facts["step_ms"][name]["median"] for name in ("products", "updates", "drawing")]
    return [*parts, facts["step_ms"]["tfcollapse"]["median"] - sum(parts)]


def write(out: pathlib.Path, found: Facts) -> list[pathlib.Path]:
    """Write `found` beside what another backend found before, and the page of all. Returns what was written."""
    out.mkdir(parents=True, exist_ok=True)
    record = out / f"bench-{found['backend']}.json"
    with replacing(record) as partial:
        partial.write_text(json.dumps(found, indent=1))
    with replacing(out / "bench.md") as partial:
        partial.write_text("\n".join(_page(out)) + "\n")
    return [record, out / "bench.md"]


def _page(out: pathlib.Path) -> Iterator[str]:
    yield "# Speed"
    for path in sorted(out.glob("bench-*.json"), reverse=True):
        yield from _section(json.loads(path.read_text()))


def _section(found: Facts) -> Iterator[str]:
    facts, cases = found["environment"], found["cases"]
    versions = " ".join(f"{name} {version}" for name, version in facts["versions"].items())
    yield from ("", f"## {'TensorFlow' if found['backend'] == 'tensorflow' else 'JAX'}", "")
    yield f"`{found['command']}`, commit {facts['commit']}, {facts['machine']}, {found['device']}; {versions}."
    yield f"Medians of {found['windows']} windows that take turns (least to most); ratios are taken within a window."
    rivals = [name for name in NAMES if any(name in case["speedup_over"] for case in cases.values())]
    heads = ["case", "ms a step", *(f"{NAMES[name]}: ms, times as long" for name in rivals)]
    heads += ["GFLOP a step", "of sgemm", "products alone, of sgemm", "first call: compiles, or reads what was kept"]
    yield from ("", _row(heads), _row(["---"] * len(heads)))
    for name, case in cases.items():
        cells = [name, _ms(case, "tfcollapse")]
        for rival in rivals:
            ratio = case["speedup_over"].get(rival)
            cells.append(f"{_digits(case['step_ms'][rival]['median'])}, {ratio['median']:.2f}" if ratio else "")
        fractions = case["fraction_of_sgemm"]
        cells += [f"{case['flops_per_step'] / 1e9:.2f}", f"{fractions['tfcollapse']['median']:.2f}"]
        cells.append(f"{fractions['products']['median']:.2f}" if "products" in fractions else "")
        yield _row([*cells, f"{case['first_call_seconds']['tfcollapse']:.1f} s"])
    yield ""
    yield f"sgemm: {min(_peaks(cases)):.0f} to {max(_peaks(cases)):.0f} GFLOP/s, measured in every window."
    if any("products" not in case["step_ms"] for case in cases.values()):
        yield "A convolution's FLOPs are counted with the zeros of its padding, which a library may skip."
    if rows := targets(found):
        yield from ("", _row(["case", "against", "target", "measured"]), _row(["---"] * 4), *map(_row, rows))
    yield from _breakdown({name: case for name, case in cases.items() if "products" in case["step_ms"]})
    yield from _throughput(found.get("throughput", {}))


def targets(found: Facts) -> list[list[str]]:
    """For every target of a record's cases: case, against what, target, what was measured."""
    rows, cases = [], found["cases"]
    for name, wanted in TARGETS.items():
        for against, target in wanted.items() if name in cases else ():
            group = "fraction_of_sgemm" if against == "sgemm" else "speedup_over"
            got = cases[name][group].get("tfcollapse" if against == "sgemm" else against)
            if got is None and found["backend"] == "jax":
                continue  # the others are timed beside TensorFlow
            if got is None:
                rows.append([name, NAMES[against], f"{target}", "not measured: not installed"])
            else:
                reached = "reached" if got["median"] >= target else f"not reached{_bound(cases[name], against)}"
                rows.append([name, NAMES.get(against, against), f"{target}", f"{got['median']:.2f}: {reached}"])
    return rows


def _bound(case: Facts, rival: str) -> str:
    """How far a dense step would get that did nothing but its matrix products."""
    if not {rival, "products"} <= set(case["step_ms"]):
        return ""
    ratio = case["step_ms"][rival]["median"] / case["step_ms"]["products"]["median"]
    return f"; its matrix products and nothing else would be {ratio:.2f}"


def _breakdown(cases: Facts) -> Iterator[str]:
    if not cases:
        return
    yield from ("", "Where a dense step goes, ms; the parts are timed alone, in loops of their own:", "")
    heads = ["case", "step", "matrix products", "Adam", "draws, gather", "rest: activations, loss, loop"]
    yield from (_row(heads), _row(["---"] * len(heads)))
    for name, case in cases.items():
        yield _row([name, *(f"{ms:.2f}" for ms in [case["step_ms"]["tfcollapse"]["median"], *_parts(case)])])


def _throughput(found: Facts) -> Iterator[str]:
    if not found:
        return
    yield from ("", "Runs at once, steps a second of all together:", "")
    heads = ["case", "one process on all cores", "a pinned process a core", "gain", "`--jobs auto`"]
    yield from (_row(heads), _row(["---"] * len(heads)))
    for name, case in found.items():
        alone, pinned = case["steps_per_second"].values()
        yield _row([name, f"{alone:.0f}", f"{pinned:.0f}", f"{case['gain']:.2f}", str(case["auto_jobs"])])


def _peaks(cases: Facts) -> list[float]:
    return [value for case in cases.values() for value in case["windows_ms"]["sgemm_gflops"]]


def _ms(facts: Facts, name: str) -> str:
    values = facts["step_ms"][name]
    return f"{_digits(values['median'])} ({_digits(values['least'])} to {_digits(values['most'])})"


def _digits(value: float) -> str:
    """Three significant digits, and no powers of ten."""
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
