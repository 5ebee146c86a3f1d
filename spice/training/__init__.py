"""The training loop over self-play, rollout and learner."""
