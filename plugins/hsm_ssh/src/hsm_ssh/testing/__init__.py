"""A test-bed for whatever uses SSH: real servers in temporary folders, and connections that go wrong on purpose."""
