"""Measures a candidate against its base, independently of how it was trained.

Nothing here imports the loop or the learner, and training imports nothing from
here: the only things that pass between them are checkpoints, the held-out
documents and the record of posed tasks, all read from the store by reference.
The policy never writes an item that it is judged on.
"""
