"""`tfcollapse report`: one self-contained HTML page of a sweep."""

from tfcollapse.webpage.page import report

__all__ = ["report"]
