"""The page: what a directory holds, and how it is laid out. No network, no framework, TensorFlow not needed."""

from __future__ import annotations

import html
import importlib.resources
import json
import pathlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from tfcollapse.config.declaration import Run
from tfcollapse.errors import RunError
from tfcollapse.figures.style import caption
from tfcollapse.records.files import disk_errors, read_json, replacing
from tfcollapse.records.numerics import older_mark
from tfcollapse.records.run_directory import RunDirectory, read_config
from tfcollapse.records.table import read_table, tidy_row
from tfcollapse.records.trained import not_trained
from tfcollapse.reports.study_page import part_figure
from tfcollapse.reports.svg import curves, svg
from tfcollapse.studies.study import Study, judge, load_study, study_names

Row = Mapping[str, Any]
_COLUMNS = {
    "objective": "objective",
    "architecture": "network",
    "depth": "depth",
    "dataset": "data",
    "seed": "seed",
    "steps": "steps",
    "train_error": "train error",
    "test_error": "test error",
    "trained": "trained",
    "gamma": "gamma",
    "active_units": "active units",
    "kl": "KL (nats)",
}


def report(directory: pathlib.Path, output: pathlib.Path) -> pathlib.Path:
    """Write the page of a sweep's directory, and return its path.

    Args:
      directory: holds the table of a study and `runs`, or run directories alone. Verdicts are those that
        `tfcollapse diagnose RUN_DIR` left there.
      output: the page, one file.

    Raises:
      RunError: nothing to report on, a damaged file, a disk that cannot be written.
    """
    tables = [(name, read_table(directory / f"{name}.csv")) for name in study_names() if _table(directory, name)]
    runs = _runs(directory)
    if not tables and not runs:
        raise RunError(f"'{directory}': expected the table of a study or run directories, found neither")
    if not tables:
        tables = [("", [tidy_row(RunDirectory(path, read_config(path))) for path in runs.values()])]
    title = f"tfcollapse: {directory.resolve().name}"
    parts = [_head(title), '<a class="skip" href="#runs">to the runs</a>' if runs else ""]
    parts += [f"<main>\n<h1>{html.escape(title)}</h1>", *(_study(name, rows, runs) for name, rows in tables)]
    if runs:
        parts += ['<h2 id="runs">Runs</h2>', *(_run(path) for path in runs.values())]
    parts += ["</main>", _script(), "</html>"]
    with disk_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as partial:
        partial.write_text("\n".join(parts) + "\n")
    return output


def _table(directory: pathlib.Path, name: str) -> bool:
    return (directory / f"{name}.csv").is_file()


def _runs(directory: pathlib.Path) -> dict[str, pathlib.Path]:
    found = [path.parent for folder in ("runs/*", "*") for path in directory.glob(f"{folder}/config.json")]
    return {path.name: path for path in sorted(found, key=lambda path: path.name)}


def _head(title: str) -> str:
    style = importlib.resources.files("tfcollapse.reports").joinpath("report.css").read_text()
    policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>"
    )


def _script() -> str:
    text = importlib.resources.files("tfcollapse.reports").joinpath("report.js").read_text()
    return f"<script>\n{text}</script>\n</body>"


def _study(name: str, rows: Sequence[Row], runs: Mapping[str, pathlib.Path]) -> str:
    study = load_study(name) if name else None
    parts = [
        f"<h2>{html.escape(study.title if study else 'Overview')}</h2>",
        f"<p><strong>{html.escape(older_mark(rows).strip('*'))}</strong></p>" if older_mark(rows) else "",
        f"<p>{html.escape(caption(rows).replace(chr(10), '; '))}.</p>",
    ]
    if study:
        parts += [*(_figure(study, apart, part) for apart, part in study.parts(rows).items()), _claims(study, rows)]
    parts += [_cells(rows, runs), _commands(rows)]
    return "\n".join(parts)


def _figure(study: Study, apart: str, rows: Sequence[Row]) -> str:
    title = f"{study.title}; {apart}" if apart else study.title
    drawn = svg(part_figure(study, apart, rows), title)
    return f'<figure role="img" aria-label="{html.escape(title)}">{drawn}</figure>'


def _claims(study: Study, rows: Sequence[Row]) -> str:
    lines = [(claim.text, claim.verdict, claim.evidence) for claim in judge(study, rows)]
    return "<h3>The paper's claims</h3>" + _plain(("the paper says", "this run", "evidence"), lines)


def _cells(rows: Sequence[Row], runs: Mapping[str, pathlib.Path]) -> str:
    out = {row["run_id"] for row in not_trained(rows)}
    rows = [{**row, "trained": "no" if row["run_id"] in out else None} for row in rows]
    kept = {name: title for name, title in _COLUMNS.items() if any(row.get(name) is not None for row in rows)}
    titles = [*kept.values(), "status", "verdict", "run"]
    head = "".join(f'<th scope="col"><button type="button">{html.escape(title)}</button></th>' for title in titles)
    lines = []
    for row in rows:
        cells = [_cell(row.get(name)) for name in kept] + [_cell(row["status"])]
        run = runs.get(str(row["run_id"]))
        found = _diagnosis(run) if run else None
        cells.append(_cell(", ".join(found["categories"]) if found else None))
        name = html.escape(str(row["run_id"]))
        cells.append(f'<td><a href="#{name}">config</a></td>' if run else f"<td><code>{name}</code></td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return (
        '<h3>Cells</h3><div class="wide"><table class="sortable"><caption>Press a heading to sort by it.</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _cell(value: Any) -> str:
    if value is None:
        return "<td>-</td>"
    if isinstance(value, float):
        return f'<td class="number" data-value="{value!r}">{value:.4g}</td>'
    if isinstance(value, int):
        return f'<td class="number" data-value="{value}">{value:,}</td>'
    return f"<td>{html.escape(str(value))}</td>"


def _commands(rows: Sequence[Row]) -> str:
    said = dict.fromkeys(str(row["command"]) for row in rows if row.get("command"))
    return "<h3>Command</h3>" + "".join(f"<pre>{html.escape(each)}</pre>" for each in said) if said else ""


def _run(path: pathlib.Path) -> str:
    run = read_config(path)
    name = html.escape(path.name)
    parts = [f'<details id="{name}"><summary><code>{name}</code></summary>', _verdict(path, run)]
    drawn = curves(path / "metrics.csv")
    if drawn is not None:
        parts.append(f'<figure role="img" aria-label="Training curves of {name}">{svg(drawn, path.name)}</figure>')
    again = shlex.join(["tfcollapse", "train", "--config", str(path / "config.json"), "--out", str(path.parent)])
    parts += [f"<h4>Command</h4><pre>{html.escape(again)}</pre>"]
    parts += [f"<h4>Configuration</h4><pre>{html.escape(run.to_json())}</pre>"]
    for title, file in (("Result", "result.json"), ("Environment", "environment.json")):
        if (path / file).exists():
            text = json.dumps(_short(read_json(path / file)), indent=1)
            parts.append(f"<h4>{title}</h4><pre>{html.escape(text)}</pre>")
    return "\n".join([*parts, "</details>"])


def _short(values: Any) -> Any:
    """Lists of more than eight numbers are in the files; here their ends say enough."""
    if isinstance(values, dict):
        return {name: _short(value) for name, value in values.items()}
    if isinstance(values, list) and len(values) > 8:
        return [*values[:3], f"... {len(values)} in all ...", *values[-3:]]
    return values


def _diagnosis(path: pathlib.Path | None) -> dict[str, Any] | None:
    if path is None or not (path / "diagnosis.json").exists():
        return None
    verdict = read_json(path / "diagnosis.json").get("verdict")
    wanted = {"categories", "meaning", "evidence", "notes", "change"}
    each_wants = {"name", "value", "threshold", "reading"}
    if (
        not isinstance(verdict, dict)
        or not wanted <= set(verdict)
        or not all(each_wants <= set(each) for each in verdict["evidence"])
    ):
        raise RunError(f"'{path / 'diagnosis.json'}': expected a verdict; run 'tfcollapse diagnose {path}' again")
    return verdict


def _verdict(path: pathlib.Path, run: Run) -> str:
    if run.objective.kind == "ae":
        return "<p>An autoencoder: it has no posterior to diagnose.</p>"
    verdict = _diagnosis(path)
    if verdict is None:
        return f"<p>Not diagnosed: <code>tfcollapse diagnose {html.escape(str(path))}</code></p>"
    named = "; ".join(f"{name}: {text}" for name, text in zip(verdict["categories"], verdict["meaning"], strict=True))
    lines = [
        (each["name"], f"{each['value']:.4g}", f"{each['threshold']:.4g}", _away(each), each["reading"])
        for each in verdict["evidence"]
    ]
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in [*verdict["notes"], verdict["change"]])
    table = _plain(("evidence", "value", "threshold", "times from it", "reading"), lines)
    return f"<p><strong>{html.escape(named)}</strong></p>{table}<ul>{notes}</ul>"


def _away(evidence: dict[str, Any]) -> str:
    distance = evidence.get("distance")
    return f"{distance:.3g}" if isinstance(distance, (int, float)) else "-"


def _plain(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in header)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in line)}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
