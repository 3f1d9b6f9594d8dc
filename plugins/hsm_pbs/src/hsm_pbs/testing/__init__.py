"""A PBS in a folder, for tests: see `emulator`."""
