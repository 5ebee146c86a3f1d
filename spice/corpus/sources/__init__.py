"""Where documents come from: one function opens whatever is named."""

from spice.corpus.sources.lines import parts
from spice.corpus.sources.open import open_sources

__all__ = ["open_sources", "parts"]
