"""From items to documents, with hostile files kept in a process of their own."""

from spice.corpus.parsing.parser import Parser

__all__ = ["Parser"]
