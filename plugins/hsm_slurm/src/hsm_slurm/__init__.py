"""Run the tasks of an hsm sweep on a Slurm cluster."""
