"""The commands that train runs and draw them; what each needs is imported when it is asked for."""

from __future__ import annotations

import argparse
import pathlib
import sys

from tfcollapse.errors import ConfigError, RunError


def _place(parsed: argparse.Namespace) -> tuple[str, pathlib.Path]:
    """The study's name and its directory."""
    name = pathlib.Path(parsed.study).stem
    return name, pathlib.Path(parsed.out or f"out/{name}-{parsed.preset}")


def declared_runs(parsed: argparse.Namespace):
    """The study that a sweep's arguments name, and the runs they make of it."""
    from tfcollapse.config.overrides import apply_settings, select, shorten
    from tfcollapse.studies.study import load_study

    study = load_study(parsed.study)
    runs = study.runs(parsed.preset, parsed.seeds)
    if parsed.steps is not None:
        runs = [shorten(run, parsed.steps) for run in runs]
    return study, select(apply_settings(runs, parsed.settings), parsed.only)


def sweep(parsed: argparse.Namespace) -> int:
    """Train a study's runs, or one of them, or list them."""
    study, runs = declared_runs(parsed)
    name, out = _place(parsed)
    if parsed.list:
        from tfcollapse.studies.listing import lines

        print("\n".join(lines(runs, out / "runs", parsed.data_dir)))
        return 0
    if parsed.collect is not None:
        return _collect(name, study, runs, out, parsed)
    if parsed.index is not None:
        if not 0 <= parsed.index < len(runs):
            raise ConfigError(f"--index: expected 0 to {len(runs) - 1}, received {parsed.index}")
        return _train_one(runs[parsed.index], out / "runs", parsed)
    rows = _train_all(runs, out, f"{name}.csv", parsed)
    missing = [row for row in rows if row["status"] != "finished"]
    if len(missing) < len(rows):
        _draw(name, study, out)
    for row in missing:
        print(f"tfcollapse: {row['run_id']}: {row['status']}: {row['reason']}", file=sys.stderr)
    if missing:
        print(f"tfcollapse: {len(missing)} of {len(rows)} runs did not finish", file=sys.stderr)
    return 1 if missing else 0


def _collect(name: str, study, runs, out: pathlib.Path, parsed: argparse.Namespace) -> int:
    """Keep the records of what has ended so far, and draw them; runs that have not ended are drawn as missing."""
    from tfcollapse.records.table import check_same_sweep, write_table
    from tfcollapse.studies.collect import collect, lasting_command

    target = pathlib.Path(parsed.collect)
    if parsed.index is not None:
        raise ConfigError("--collect: expected the whole sweep, received --index beside it; --only names a part")
    if not parsed.collect or target.resolve() == out.resolve():
        raise ConfigError(f"--collect: expected a directory other than the sweep's own, received '{parsed.collect}'")
    check_same_sweep(target / f"{name}.csv", runs)
    rows, damaged = collect(runs, out / "runs", target / "runs")
    write_table(target / f"{name}.csv", [row | {"command": lasting_command(parsed.command_line)} for row in rows])
    _draw(name, study, target)
    ended = sum(row["status"] != "unfinished" for row in rows)
    print(f"{ended} of {len(rows)} runs have ended; their records are in {target / 'runs'}")
    for reason in damaged:
        print(f"tfcollapse: not collected: {reason}", file=sys.stderr)
    return 1 if damaged else 0


def _train_all(runs, out: pathlib.Path, table: str, parsed: argparse.Namespace):
    from tfcollapse.data import dataset as data
    from tfcollapse.records.run_directory import check_writable
    from tfcollapse.records.table import check_same_sweep, write_table
    from tfcollapse.studies import sweep as pool
    from tfcollapse.studies.display import Display
    from tfcollapse.studies.ray_sweep import ray_sweep
    from tfcollapse.training.strategy import workers

    jobs, together = (_automatic(name, getattr(parsed, name)) for name in ("jobs", "together"))
    if workers() is not None:
        raise ConfigError("TF_CONFIG names several workers, and a sweep runs on one machine: train with --index I")
    if parsed.ray is not None and (parsed.strategy, parsed.devices) != ("auto", None):
        raise ConfigError("--strategy, --devices: not with --ray, which gives every run its devices: --cpus, --gpus")
    if parsed.ray is None and (parsed.cpus, parsed.gpus) != (None, None):
        raise ConfigError("--cpus, --gpus: expected --ray beside them; without it, --jobs says how many runs at a time")
    check_same_sweep(out / table, runs)
    waiting = pool.unfinished(runs, out / "runs")
    for wanted in {run.data for run in waiting}:  # once, before any worker, so that a bad one stops the sweep here
        data.load(wanted, data_dir=parsed.data_dir)
    check_writable(out)
    if len(waiting) < len(runs):
        print(f"{len(runs) - len(waiting)} of {len(runs)} runs have ended before and are kept")
    with Display(waiting) as display:
        watch = {"data_dir": parsed.data_dir, "report": display.update, "ended": display.ended}
        if parsed.ray is None:
            placement = {"strategy": parsed.strategy, "devices": parsed.devices}
            rows = pool.sweep(runs, out / "runs", jobs=jobs, placement=placement, together=together, **watch)
        else:
            rows = ray_sweep(runs, out / "runs", address=parsed.ray, cpus=parsed.cpus, gpus=parsed.gpus, **watch)
    rows = [row | {"command": parsed.command_line} for row in rows]
    write_table(out / table, rows)
    display.table(rows)
    return rows


def _automatic(name: str, text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"--{name}: expected 'auto' or a whole number >= 1, received '{text}'")
    return int(text)


def train(parsed: argparse.Namespace) -> int:
    """Train one run."""
    from tfcollapse.config.overrides import configured

    return _train_one(configured(parsed.config, parsed.settings), pathlib.Path(parsed.out), parsed)


def _train_one(run, out: pathlib.Path, parsed: argparse.Namespace) -> int:
    from tfcollapse.records.run_directory import RunDirectory
    from tfcollapse.records.table import tidy_row
    from tfcollapse.studies.display import Display
    from tfcollapse.training import strategy

    here = strategy.workers()
    if here is not None:
        print(f"worker {here[0]} of {here[1]} starts, and waits for the others", flush=True)
    strategy.make(parsed.strategy, parsed.devices)  # before TensorFlow's first operation
    from tfcollapse.training import trainer

    placement = {"data_dir": parsed.data_dir, "strategy": parsed.strategy, "devices": parsed.devices}
    with Display([run]) as display:
        result = trainer.train(run, out, report=display.update, **placement)
        display.ended(run, result)
    if here is not None and here[0] > 0:
        print(f"worker {here[0]} of {here[1]} is done; worker 0 holds the record")
    else:
        display.table([tidy_row(RunDirectory(out / run.run_id, run))])
        print(f"{out / run.run_id}")
    if result["status"] != "finished":
        raise RunError(f"{run.run_id}: {result['reason']}")
    return 0


def figure(parsed: argparse.Namespace) -> int:
    """Redraw what a directory's tables hold."""
    from tfcollapse.studies.study import load_study, study_names

    out = pathlib.Path(parsed.out)
    from tfcollapse.reports import theory_page as findings

    if not parsed.study and findings.read(out):
        print("wrote", ", ".join(map(str, findings.draw(out))))
        return 0
    studies = [parsed.study] if parsed.study else [name for name in study_names() if (out / f"{name}.csv").exists()]
    if not studies:
        raise ConfigError(f"--out '{out}': expected the table of a study, such as fig1_left.csv, found none")
    for study in studies:
        _draw(pathlib.Path(study).stem, load_study(study), out)
    return 0


def overview(parsed: argparse.Namespace) -> int:
    """Write the page of all results."""
    from tfcollapse.reports import overview as page

    print("wrote", page.write(pathlib.Path(parsed.out)))
    return 0


def pictures(parsed: argparse.Namespace) -> int:
    """Draw a sweep's reconstructions and samples."""
    from tfcollapse.backend import start
    from tfcollapse.figures.style import save

    _, runs = declared_runs(parsed)
    name, out = _place(parsed)
    start()
    from tfcollapse.studies import pictures as drawn

    paths = save(drawn.pictures(runs, out / "runs", data_dir=parsed.data_dir), out / f"{name}-pictures")
    print("wrote", ", ".join(map(str, paths)))
    return 0


def _draw(name: str, study, out: pathlib.Path) -> None:
    from tfcollapse.figures.style import save
    from tfcollapse.records.run_directory import replacing
    from tfcollapse.records.table import complete, read_table
    from tfcollapse.reports import study_page as report

    rows = read_table(out / f"{name}.csv")
    with complete(out / f"{name}.csv", rows):
        drawn, page = report.figures(name, study, rows), report.page(name, study, rows)
    paths = [path for stem, figure in drawn.items() for path in save(figure, out / stem)]
    with replacing(out / f"{name}.md") as partial:
        partial.write_text(page)
    print("wrote", ", ".join(str(path) for path in [*paths, out / f"{name}.md", out / f"{name}.csv"]))
