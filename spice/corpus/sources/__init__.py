"""Where documents come from: one function opens whatever is named."""

from spice.corpus.sources.ahead import fetch_ahead
from spice.corpus.sources.open import open_sources

__all__ = ["fetch_ahead", "open_sources"]
