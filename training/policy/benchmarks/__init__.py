"""Public PPOs on the same environment, to compare with; they live in an environment of their own (requirements.txt)."""
