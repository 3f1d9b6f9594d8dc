"""The engine: a sweep's state made from events, and decisions made from the state. Pure; see the architecture page."""
