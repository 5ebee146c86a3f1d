"""SPICE: self-play on your own documents, with the controls to stay in charge of it."""

__version__ = "0.1.0"
