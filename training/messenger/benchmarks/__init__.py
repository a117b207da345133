"""Comparison with TRL's PPO on the same texts; it runs in an environment of its own (requirements.txt)."""
