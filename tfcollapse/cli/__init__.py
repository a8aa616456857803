"""The command line: each command has one file, with its parser and its handler."""
