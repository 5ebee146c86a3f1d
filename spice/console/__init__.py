"""The web console: what is live, what waits for approval, on which evidence, and the kill-switch."""
