"""From evidence to a live release: gate, requests, approvals, promotion, rollback and the kill-switch."""
