"""The algorithm: prompts, tasks, verification, rewards, advantages and health, as pure functions without torch."""
