"""The sweep on disk: paths, the journal, the lease, and how processes speak to each other through files."""
