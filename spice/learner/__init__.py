"""The policy-gradient update."""
