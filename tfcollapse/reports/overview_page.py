"""The page of all records below a directory: which claims were reproduced, by what, and what was not run."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tfcollapse.claims.claim import NOT_RUN
from tfcollapse.config.declaration import NUMERICS, Run
from tfcollapse.errors import ConfigError
from tfcollapse.records.narrowing import each, narrowing
from tfcollapse.records.numerics import older
from tfcollapse.records.seed_noise import SEEDS, SPREAD, noise_of
from tfcollapse.records.statistics import PAPER_STEPS
from tfcollapse.records.table import complete, read_table
from tfcollapse.records.trained import not_trained
from tfcollapse.reports import bench_page, theory_page
from tfcollapse.reports.blocks import Block, Bullets, Code, Content, Heading, Link, Paragraph, Strong, Table, joined
from tfcollapse.reports.claims_table import steps, verdict
from tfcollapse.reports.markdown import write_markdown
from tfcollapse.reports.provenance_table import distinct_sessions
from tfcollapse.studies import own_tables
from tfcollapse.studies.study import Study, declarations, judge, load_study

StudyTable = tuple[pathlib.Path, list[dict[str, Any]]]
"""A study's table: where it lies, and its rows."""
Line = tuple[Content, ...]
"""A row of this page's tables."""

_INTRODUCTION = (
    " writes this page from the tables and records below that directory. Each claim has one of these verdicts:"
)
_VERDICTS = (
    (Strong("reproduced"), ": the runs show it, beyond the noise."),
    (Strong("not reproduced"), ": the runs show the opposite, beyond the noise."),
    (Strong("too close to call"), ": the runs are there, and the noise hides the answer."),
    (
        Strong("not trained"),
        ": the error of a network that the claim needs is not clearly below that of an image of means.",
    ),
    (
        Strong("not run"),
        ": a run that the claim needs is not there or is too short to judge, or the runs cannot answer it, such as "
        'eq. (10) where gamma was set by it. What the others show begins with "so far".',
    ),
)
_RULES = (
    "A verdict is on training of the length that stands beside it, on the data in its row (with the number of training "
    f"images in brackets), and on networks that are narrowed as its row says. Where the training is shorter than the "
    f"paper's {PAPER_STEPS:,} steps, the verdict does not judge the paper's own result.",
    "A trend is judged by a rank test at 5%. Its p for the opposite tests the reverse shape; where the turning "
    "point is at an end, it tests the plain rise or fall that is seen. A difference is judged by its 95% interval "
    "over seeds. For residual networks on several data sets, the interval is over the data sets. Single runs "
    "count as different from what two seeds differ by on "
    f"({', '.join(f'{noise_of(spread):.1%} at depth {depth}' for depth, spread in SPREAD.items())}: the study reach, "
    f"{SEEDS} seeds of dense AEs at 10,000 steps). Other fully connected networks take the same, and networks with "
    "convolutions the last of these. Against a number without noise, such as PCA's error, "
    f"{math.sqrt(0.5):.0%} of it is enough. "
    "Where a statement must hold at each of several places, such as every depth, a difference against it has to be "
    "beyond the 95% interval for all places together (Bonferroni). Counts of units also have to differ by a tenth of "
    "the latent dimensions, and in a trend shares of sigma_z by a tenth. A rank correlation is "
    "judged by its permutation test at 5%, over five pairs or more; its interval is approximate.",
    "Several seeds stand as mean +- standard deviation. One seed has no error bar. A table of "
    "another version of the numbers is not counted. An empty cell stands for what the row above says.",
)
_HEADER = ("figure", "claim", "verdict", "narrowed", "obtained", "seeds", "steps", "data", "hardware, time", "command")


def write(out: pathlib.Path, studies: Sequence[str] = ()) -> pathlib.Path:
    """Write `out`/README.md from every study's table, theory finding and bench record below `out`.

    Args:
      out: the directory.
      studies: files that declare studies of the user's own, beside the installed ones. They are executed.

    Raises:
      ConfigError: there are none.
      RunError: one of them cannot be read.
    """
    declared = declarations(studies)
    tables = [(path, read_table(path)) for path in tables_below(out, declared)]
    beside = [*_theory(out), *_speed(out)]
    if not tables and not beside:
        raise ConfigError(
            f"overview '{out}': expected tables or records below it, such as fig1_left.csv, found none: "
            + own_tables.advice(own_tables.unnamed(out, declared, own_tables.BELOW))
        )
    lines = [*_tables(tables, out, declared), *_not_run(tables, declared)]
    introduction = Paragraph((Code(f"tfcollapse overview {out}"), _INTRODUCTION))
    rules: list[Block] = [Bullets(_VERDICTS), *(Paragraph(rule) for rule in _RULES)]
    blocks = [Heading(1, "Results"), introduction, *rules, Table(_HEADER, lines), *beside]
    return write_markdown(out / "README.md", blocks, earlier="\n`tfcollapse overview ")


def tables_below(out: pathlib.Path, declared: Collection[str]) -> list[pathlib.Path]:
    """Return the tables of the studies named in `declared` that lie in `out` or below it, study after study."""
    paths = (path for path in out.rglob("*.csv") if path.stem in declared)
    return sorted(paths, key=lambda path: (path.stem, len(path.parts), path))


def folders(out: pathlib.Path) -> list[pathlib.Path]:
    """Return `out` and the directories in it: the places of findings and bench records."""
    return [out, *sorted(path for path in out.iterdir() if path.is_dir())]


def _tables(tables: Sequence[StudyTable], out: pathlib.Path, declared: Mapping[str, str]) -> Iterator[Line]:
    """Yield a line for each claim of each table."""
    for path, rows in tables:
        study = load_study(declared[path.stem])
        with complete(path, rows):
            claims = judge(study, rows)
        page = Link(path.stem, path.with_suffix(".md").relative_to(out).as_posix())
        facts = _facts(rows)
        if older(rows):
            reason = f"made with version {older(rows)} of the numbers, not {NUMERICS}: to be made again"
            yield (page, study.title, Strong("not counted"), narrowing(rows), reason, *facts)
            continue
        for number, claim in enumerate(claims):
            beside = facts if number == 0 else ("",) * len(facts)
            yield (page, claim.text, verdict(claim, rows), narrowing(rows), claim.evidence, *beside)


def _facts(rows: Sequence[dict[str, Any]]) -> Line:
    """Return seeds, steps, data, hardware with time, command."""
    done = [row for row in rows if row["status"] == "finished"]
    data = dict.fromkeys(f"{row['dataset']} ({row['train_images']:,})" for row in done)
    machines = distinct_sessions(row["machine"] for row in done)
    missing = "" if len(done) == len(rows) else f", {len(rows) - len(done)} of {len(rows)} runs missing"
    untrained = len(not_trained(rows))
    return (
        str(len({row["seed"] for row in done})),
        steps(rows),
        ", ".join(data),
        f"{machines}; {sum(row['seconds'] for row in done) / 3600:.2f} h over {len(done)} runs{missing}"
        + (f", {untrained} not trained" if untrained else ""),
        joined([Code(command) for command in dict.fromkeys(str(row["command"]) for row in rows)], " "),
    )


def _not_run(tables: Sequence[StudyTable], declared: Mapping[str, str]) -> Iterator[Line]:
    """Yield a line for each study whose preset `paper` has runs that none of the tables holds."""
    for name in sorted(declared):
        study = load_study(declared[name])
        runs, there = at_the_papers_length(study, tables)
        if len(there) < len(runs):
            length = each(sorted({run.training.steps for run in runs}))
            yield (
                name,
                f"{study.title}, at the paper's length",
                (Strong(NOT_RUN), f" at {length} steps"),
                "-",
                f"{len(there)} of {len(runs)} runs are there",
                str(len({run.seed for run in there})),
                length,
                ", ".join(dict.fromkeys(run.data.name for run in runs)),
                "-",
                Code(f"tfcollapse sweep {declared[name]} --preset paper"),
            )


def at_the_papers_length(study: Study, tables: Sequence[StudyTable]) -> tuple[list[Run], list[Run]]:
    """Return the runs of the preset `paper`, none where the study has no such preset, and those that have finished.

    A run that a study shares with another one counts for both.
    """
    rows = [row for _, rows in tables for row in rows]
    finished = {row["run_id"] for row in rows if row["status"] == "finished" and not older([row])}
    runs = study.runs("paper") if "paper" in study.presets else []
    return runs, [run for run in runs if run.run_id in finished]


def _theory(out: pathlib.Path) -> list[Block]:
    """Return the part on the theory lab; no block where there are no findings."""
    lines: list[Line] = []
    for folder in folders(out):
        page = (folder / "theory.md").relative_to(out).as_posix()
        for findings in theory_page.read_findings(folder):
            made = findings["made"]
            verdicts = [check["verdict"] for check in findings["checks"]]
            counts = ", ".join(f"{verdicts.count(word)} {word}" for word in dict.fromkeys(verdicts))
            if older([made]):
                counts = f"not counted, made with version {older([made])} of the numbers: {counts}"
            time = f"{made['machine']}; {made['seconds']:.0f} s"
            lines.append((Link(findings["title"], page), counts, time, Code(made["command"])))
    if not lines:
        return []
    header = ("proposition", "checks", "hardware, time", "command")
    return [Heading(2, "The propositions, checked numerically"), Table(header, lines)]


def _speed(out: pathlib.Path) -> list[Block]:
    """Return the part on speed; no block where there are no records with a target."""
    lines: list[Line] = []
    for path in (path for folder in folders(out) for path in sorted(folder.glob("bench-*.json"))):
        record = bench_page.read(path)
        page = (path.parent / "bench.md").relative_to(out).as_posix()
        where = f"{record['environment']['machine']}, {record['device']}"
        for case, *measured in bench_page.targets(record):
            lines.append((Link(case, page), *measured, where, Code(record["command"])))
    if not lines:
        return []
    header = ("case", "against", "target", "measured", "hardware", "command")
    return [Heading(2, "Speed against its targets"), Table(header, lines)]
