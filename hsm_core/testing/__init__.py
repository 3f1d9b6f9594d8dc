"""What tests of sources, strategies and of the engine build on."""
