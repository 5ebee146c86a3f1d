"""Who did what: signing keys, signatures and the append-only ledger."""
