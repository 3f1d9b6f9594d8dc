"""A real Slurm for tests: see `cluster`."""
