"""An hsm strategy: everything done as early as can be."""
