"""Keep and read what runs leave on disk: run directories, tables, provenance."""
