"""Reads the store and says what is there; one module per page."""
