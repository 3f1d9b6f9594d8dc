"""An hsm strategy: the source that will be done first."""
