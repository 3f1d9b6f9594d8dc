"""Run the tasks of an hsm sweep on this machine."""
