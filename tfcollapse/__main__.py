"""Run the command line as `python -m tfcollapse`."""

import os
import sys

if __name__ == "__main__":
    # `python -m` looks for modules in the working directory first. A data file's neighbour could be `./numpy.py`.
    if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
        del sys.path[0]
    from tfcollapse.cli.main import main

    raise SystemExit(main())
