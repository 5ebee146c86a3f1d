"""Engines that generate text with the policy's weights."""
