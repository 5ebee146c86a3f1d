"""Models and tokenizers: built-in ones, folders, hub ids, and how they are loaded (never anything executable)."""
