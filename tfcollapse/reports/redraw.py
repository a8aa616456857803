"""Redraw the figures and pages below a directory from what was recorded: nothing is trained or measured."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from tfcollapse.reports import bench_page, theory_page
from tfcollapse.reports.overview_page import folders, tables_below
from tfcollapse.reports.study_page import write_study
from tfcollapse.studies.study import declarations, load_study


def redraw(out: pathlib.Path, studies: Sequence[str] = ()) -> list[pathlib.Path]:
    """Write every study's figures and page, the theory lab's and the bench's again, and return the paths.

    Args:
      out: the directory above the tables, the theory lab's findings and the bench's records.
      studies: files that declare studies of the user's own, beside the installed ones. They are executed.

    Raises:
      ConfigError: a file of `studies` that declares none.
      RunError: a record that cannot be read, or a file that is not ours in the place of a page or figure.
    """
    declared = declarations(studies)
    paths = []
    for table in tables_below(out, declared):
        paths += write_study(table.stem, load_study(declared[table.stem]), table.parent)
    for folder in folders(out):
        if theory_page.read_findings(folder):
            paths += theory_page.write(folder)
        if any(folder.glob("bench-*.json")):
            paths.append(bench_page.write_page(folder))
    return paths
