"""Define what the figures of the theory lab read of a section's curves (`records.schema.Schema`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcollapse.records.schema import POSITIVE, Schema, Such, columns, fits

ENDS = ("collapsed", "partial minimum", "reconstructed", "undecided")
"""The ends of the gradient flow, by their names in `theory.gradient_flow`, in the order of their colours."""
MAPS = 4
"""The number of maps in the figure of Proposition 1."""

_RISING = Such([float], lambda values: len(values) > 1 and values == sorted(set(values)), "rising numbers")
_TRAINED = columns("predicted_sigma", "sigma", gamma=[float], every=POSITIVE, optimal_gamma=POSITIVE)
_STAIRS = Such(
    columns("gamma", "trained", eigenvalues=[float]),
    lambda curve: min(curve["gamma"]) > 0 and len(curve["eigenvalues"]) < 100,
    "gammas above 0, and fewer than 100 eigenvalues",
)
_SADDLES = Such([{"directions": float, "energy": float, "active": [float]}], bool, "at least one stationary point")


def _has_trainings(curves: Mapping[str, Any]) -> bool:
    trainings = [curve for name, curve in curves.items() if name.startswith("trained ")]
    return bool(trainings) and all(fits(curve, _TRAINED) for curve in trainings)


def _is_a_map(flow: Mapping[str, Any]) -> bool:
    width, height = len(flow["mean"]), len(flow["weight"])
    maps = flow["ends"].values()
    return len(maps) == MAPS and all(len(rows) == height and {len(row) for row in rows} == {width} for rows in maps)


def _same_lengths(curve: Mapping[str, Any], x: str, y: str) -> bool:
    return {len(values) for values in curve[y].values()} == {len(curve[x])}


def _alike(rows: list[Mapping[str, Any]]) -> bool:
    names = ("unseen", "critical_gamma", "gamma")
    return len({tuple(name in row for name in names) for row in rows}) == 1


_END = Such(str, lambda end: end in ENDS, f"one of {', '.join(ENDS)}")
_MAP = Such({"mean": _RISING, "weight": _RISING, "ends": {...: [[_END]]}}, _is_a_map, f"{MAPS} maps of one size")
_PATHS = Such(
    {"delta": [float], "energy": {...: [float]}},
    lambda curve: len(curve["energy"]) > 0 and _same_lengths(curve, "delta", "energy"),
    "as many energies as deltas",
)
_KEPT = Such(
    {"gamma": [float], "kept": {...: [float]}},
    lambda curve: len(curve["kept"]) == 3 and _same_lengths(curve, "gamma", "kept"),
    "three curves with as many values as gammas",
)
_SCALES = Such([[float]], lambda rows: len({len(row) for row in rows}) == 1, "rows of one length")
_LINES = dict.fromkeys(("trained_gamma", "gamma'", "lambda_max"), float)
_KIND = {"depth": float, "when": str, "lowest": float, "highest": POSITIVE, "kind": str}
_KIND |= {"unseen?": float, "critical_gamma?": float, "gamma?": POSITIVE}
_GAPS = [{"objective": str, "depth": float, "gap": float}]

CURVES: dict[str, Schema] = {
    "affine": Such({"staircase": _STAIRS, "stationary": _SADDLES}, _has_trainings, "curves of trainings"),
    "prop1": {
        "map": _MAP,
        "radius": columns("alpha", "proved", "found"),
        "barrier": Such(
            {name: [float] for name in ("alpha", "height", "bounded", "bound")},
            lambda curve: all(len(curve[x]) == len(curve[y]) for x, y in (("alpha", "height"), ("bounded", "bound"))),
            "as many heights as alphas",
        ),
        "path": _PATHS,
    },
    "prop2": {
        "staircase": columns("gamma", "collapsed", scale=_SCALES, latent_dim=float, **_LINES),
        "conditions": columns("sigma", "curvature"),
        "shrinkage": _KEPT,
    },
    "prop4": {
        "kinds": Such([_KIND], _alike, "at least one row, and rows with the same names"),
        "gamma?": columns("share", "lowest", critical=POSITIVE),
    },
    "equations": {"error": _GAPS, "gamma": _GAPS},
}
"""The schema of the curves of each section, by the section's name."""
