"""What all records below a directory say, on one page: which claims were reproduced, by what, and what was not run."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

from tfcollapse.claims import judging
from tfcollapse.config.declaration import NUMERICS
from tfcollapse.errors import ConfigError
from tfcollapse.records.files import replacing
from tfcollapse.records.numerics import older
from tfcollapse.records.statistics import PAPER_STEPS
from tfcollapse.records.table import complete, read_table
from tfcollapse.reports import bench_page as bench
from tfcollapse.reports import theory_page as findings
from tfcollapse.reports.study_page import markdown_table
from tfcollapse.studies.study import judge, load_study, study_names

Table = tuple[pathlib.Path, list[dict[str, Any]]]
"""A study's table: where it lies, and its rows."""

PLAIN = {
    judging.SUPPORTED: "reproduced",
    judging.PARTLY: "partly reproduced",
    judging.CONTRADICTED: "not reproduced",
    judging.NOT_TESTED: "not tested",
}
"""A claim's verdict in plain words."""

_INTRODUCTION = (
    "Written by `tfcollapse overview {out}` from the tables and records below it. A verdict is on training as long as "
    "the row says, on the data that it names (with the number of training images): shorter than the paper's 250,000 "
    "steps it is no verdict on the paper's own. Networks that were not trained, as their error is not clearly below "
    "that of an image of means, support no claim. A table of another version of the numbers is not counted. Several "
    "seeds stand as mean +- standard deviation; one seed has no error bar. What is blank is as in the row above."
)
_HEADS = ("figure", "claim", "verdict", "obtained", "seeds", "steps", "data", "hardware, time", "command")


def write(out: pathlib.Path) -> pathlib.Path:
    """Write `out`/README.md from every study's table, theory finding and bench record below `out`.

    Raises:
      ConfigError: there are none.
      RunError: one of them cannot be read.
    """
    found = (path for path in out.rglob("*.csv") if path.stem in study_names())
    ordered = sorted(found, key=lambda path: (path.stem, len(path.parts), path))
    tables = [(path, read_table(path)) for path in ordered]
    lines = [*_tables(tables, out), *_not_run(tables)]
    rest = [*_theory(out), *_speed(out)]
    if not tables and not rest:
        raise ConfigError(f"overview '{out}': expected tables or records below it, such as fig1_left.csv, found none")
    parts = ["# Results", _INTRODUCTION.format(out=out), markdown_table(_HEADS, lines), *rest]
    with replacing(out / "README.md") as partial:
        partial.write_text("\n\n".join(parts) + "\n")
    return out / "README.md"


def _tables(tables: Sequence[Table], out: pathlib.Path) -> Iterator[tuple[str, ...]]:
    for path, rows in tables:
        study = load_study(path.stem)
        with complete(path, rows):
            claims = judge(study, rows)
        page = path.with_suffix(".md").relative_to(out).as_posix()
        facts = _facts(rows)
        if older(rows):
            said = f"made with version {older(rows)} of the numbers, not {NUMERICS}: to be made again"
            yield (f"[{path.stem}]({page})", study.title, "**not counted**", said, *facts)
            continue
        short = max(row["steps"] for row in rows) < PAPER_STEPS
        for number, claim in enumerate(claims):
            length = f" in {facts[1]} steps" if short and claim.verdict != judging.NOT_TESTED else ""
            verdict = f"**{PLAIN[claim.verdict]}**{length}"
            same = facts if number == 0 else ("",) * len(facts)
            yield (f"[{path.stem}]({page})", claim.text, verdict, claim.evidence, *same)


def _facts(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Seeds, steps, data, hardware with time, command."""
    done = [row for row in rows if row["status"] == "finished"]
    data = dict.fromkeys(f"{row['dataset']} ({row['train_images']:,})" for row in done)
    machines = ", ".join(dict.fromkeys(row["machine"] for row in done))
    lost = "" if len(done) == len(rows) else f", {len(rows) - len(done)} of {len(rows)} runs missing"
    return (
        str(len({row["seed"] for row in done})),
        f"{max(row['steps'] for row in rows):,}",
        ", ".join(data),
        f"{machines}; {sum(row['seconds'] for row in done) / 3600:.2f} h over {len(done)} runs{lost}",
        " ".join(dict.fromkeys(f"`{row['command']}`" for row in rows)),
    )


def _not_run(tables: Sequence[Table]) -> Iterator[tuple[str, ...]]:
    """A line for each study whose preset `paper` has runs that none of the tables holds."""
    rows = [row for _, rows in tables for row in rows]
    finished = {row["run_id"] for row in rows if row["status"] == "finished" and not older([row])}
    for name in study_names():
        study = load_study(name)
        runs = study.presets["paper"]
        missing = sum(run.run_id not in finished for run in runs)
        if missing:
            yield (
                name,
                f"{study.title}, at the paper's length",
                "**not run**" if missing == len(runs) else "**not all run**",
                f"{missing} of {len(runs)} runs are not trained",
                "0",
                f"{max(run.training.steps for run in runs):,}",
                ", ".join(dict.fromkeys(run.data.name for run in runs)),
                "-",
                f"`tfcollapse sweep {name} --preset paper --seeds 3`",
            )


def _theory(out: pathlib.Path) -> Iterator[str]:
    sections = [(folder, each) for folder in [out, *_folders(out)] for each in findings.read(folder)]
    if not sections:
        return
    lines = []
    for folder, each in sections:
        verdicts = [check["verdict"] for check in each["checks"]]
        counts = ", ".join(f"{verdicts.count(word)} {word}" for word in dict.fromkeys(verdicts))
        if older([each["made"]]):
            counts = f"not counted, made with version {older([each['made']])} of the numbers: {counts}"
        page = (folder / "theory.md").relative_to(out).as_posix()
        made = each["made"]
        lines.append(
            (
                f"[{each['title']}]({page})",
                counts,
                f"{made['machine']}; {made['seconds']:.0f} s",
                f"`{made['command']}`",
            )
        )
    yield "## The propositions, checked numerically"
    yield markdown_table(("proposition", "checks", "hardware, time", "command"), lines)


def _speed(out: pathlib.Path) -> Iterator[str]:
    lines = []
    for path in [path for folder in [out, *_folders(out)] for path in sorted(folder.glob("bench-*.json"))]:
        found = json.loads(path.read_text())
        page = (path.parent / "bench.md").relative_to(out).as_posix()
        where = f"{found['environment']['machine']}, {found['device']}"
        for case, against, target, verdict in bench.targets(found):
            lines.append((f"[{case}]({page})", against, target, verdict, where, f"`{found['command']}`"))
    if lines:
        yield "## Speed against what was set out for"
        yield markdown_table(("case", "against", "target", "measured", "hardware", "command"), lines)


def _folders(out: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in out.iterdir() if path.is_dir())
