"""A study's page: what was run, what came out, and what that says of the paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfcollapse.figures.style import caption, mean_and_sd
from tfcollapse.study import Study

Rows = Sequence[Mapping[str, Any]]


def page(name: str, study: Study, rows: Rows) -> str:
    """The Markdown of results/<name>.md, from the table alone."""
    parts = [
        f"# {study.title}",
        f"![{study.title}]({name}.png)",
        caption(rows).replace("\n", "; ") + ".",
        "## How it was made",
        _provenance(rows),
        "## What it says of the paper's claims",
        _table(
            ("the paper says", "this run", "evidence"),
            [(claim.text, f"**{claim.verdict}**", claim.evidence) for claim in study.claims(rows)],
        ),
        _limits(rows),
        "## Obtained",
        _table(*_cells(rows)),
        f"Every number of every run: [{name}.csv]({name}.csv).",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _provenance(rows: Rows) -> str:
    ran = [row for row in rows if row.get("commit")]
    seconds = sum(row["seconds"] or 0 for row in ran)
    facts = {
        "command": _distinct(f"`{row['command']}`" for row in rows if row.get("command")),
        "commit": _distinct(row["commit"] for row in ran),
        "hardware": _distinct(row["machine"] for row in ran),
        "versions": _distinct(row["versions"] for row in ran),
        "data": _distinct(f"{row['dataset']}: {row['train_images']} train, {row['test_images']} test" for row in ran),
        "steps": _distinct(
            f"{row['steps']} of batch {row['batch']}, learning rate {row['learning_rate']} "
            f"halved every {row['halve_every']}"
            for row in ran
        ),
        "KL warm-up": _distinct(f"over {row['warmup_steps']} steps" for row in ran if row.get("warmup_steps")),
        "seeds": _distinct(row["seed"] for row in rows),
        "training time": f"{seconds / 3600:.2f} hours, summed over {len(ran)} runs",
    }
    return _table(("what", "value"), [(name, value) for name, value in facts.items() if value])


def _limits(rows: Rows) -> str:
    notes = []
    if len({row["seed"] for row in rows}) == 1:
        notes.append("One seed: no verdict here has an error bar.")
    steps = max(row["steps"] for row in rows)
    if steps < 250_000:
        notes.append(
            f"The paper trains 250,000 steps; this is {steps:,}, so it speaks of training this long, no longer: "
            "a depth that trains slowly and one that is stuck look the same here."
        )
    missing = [row for row in rows if row["status"] != "finished"]
    if missing:
        notes.append(
            "Missing: " + "; ".join(f"{row['run_id']} ({row['status']} {row['reason'] or ''})" for row in missing)
        )
    return " ".join(notes)


def _cells(rows: Rows) -> tuple[Sequence[str], list[Sequence[str]]]:
    columns = {
        "train_error": "train error",
        "test_error": "test error",
        "gamma": "gamma",
        "active_units": "active units",
        "kl": "KL (nats)",
        "sigma_above_0.9": "share of sigma_z > 0.9",
    }
    lines = []
    for objective, depth in dict.fromkeys((row["objective"], row["depth"]) for row in rows):
        chosen = [row for row in rows if (row["objective"], row["depth"]) == (objective, depth)]
        numbers = [_number([row[name] for row in chosen if row.get(name) is not None]) for name in columns]
        lines.append((objective, str(depth), str(len(chosen)), *numbers))
    return ("objective", "depth", "seeds", *columns.values()), sorted(lines, key=lambda line: line[0])


def _number(values: Sequence[float]) -> str:
    mean, sd = mean_and_sd(values)
    if not values:
        return "-"
    return f"{mean:.4g}" + (f" +- {sd:.2g}" if len(values) > 1 else "")


def _distinct(values: Iterable[Any]) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values))


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/") for cell in row) + " |" for row in rows)
