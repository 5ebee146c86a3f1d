"""Documents in, an immutable dataset version out: read, clean, screen, de-duplicate, segment.

`spice.corpus.ingest.ingest` writes a version, `spice.corpus.dataset.load` reads
one. A new format is one function from bytes to documents, registered in
`spice.corpus.formats`.
"""
