"""Sweeps on a virtual clock: the real engine, modelled sources. For `hsm simulate`, and for the tests of the engine."""
