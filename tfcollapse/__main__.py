"""Run the command line as `python -m tfcollapse`."""

from tfcollapse.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
