"""An hsm strategy: sources at random, by their free slots."""
