"""Other PPO implementations in the same environment; they are installed apart from the project (requirements.txt)."""
