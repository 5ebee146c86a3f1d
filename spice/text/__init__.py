"""Plain text: spans and what is alike among them. Pure functions, no models."""
