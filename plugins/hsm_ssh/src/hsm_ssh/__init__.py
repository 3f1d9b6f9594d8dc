"""Machines reached by SSH: as hosts for any source, and as sources themselves."""
