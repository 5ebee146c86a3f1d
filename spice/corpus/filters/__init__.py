"""Quality filters: each a named step with published rules, on or off by `corpus.filters`."""
