"""Section 3's five kinds of posterior collapse, each as a small VAE that is trained and diagnosed here.

Not a study of runs but a gallery: a case for every category, with a near miss each, where one thing was moved.

    python runs/taxonomy.py --seeds 3 --out out/taxonomy

Expect: every verdict is the case's own. About two minutes a seed. `tfcollapse.diagnosis.taxonomy.cases` has the cases.
"""

import argparse
import pathlib
import shlex
import sys


def main(arguments: list[str]) -> int:
    """Write taxonomy.md. Exit status 1 where a verdict is not the case's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, metavar="K", help="seeds 0 to K-1 of every case")
    parser.add_argument("--out", default="out/taxonomy", help="directory of taxonomy.md (default: out/taxonomy)")
    parsed = parser.parse_args(arguments)
    if parsed.seeds < 1:
        parser.error(f"--seeds: expected >= 1, received {parsed.seeds}")
    from tfcollapse.quiet import import_tensorflow

    import_tensorflow()
    from tfcollapse.reports.taxonomy_page import gallery

    command = shlex.join(["python", "runs/taxonomy.py", *arguments])
    return 1 if gallery(pathlib.Path(parsed.out), parsed.seeds, command) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
