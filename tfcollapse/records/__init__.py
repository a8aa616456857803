"""Keep on disk, and read again, what runs leave: run directories, tables and provenance."""
