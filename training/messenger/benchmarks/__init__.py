"""TRL's PPO on the same texts, to compare with; it lives in an environment of its own (requirements.txt)."""
