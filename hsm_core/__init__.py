"""HPC Sweep Manager: the core, which knows no backend."""

__version__ = "0.1.0"
