"""An hsm strategy: every source in turn."""
