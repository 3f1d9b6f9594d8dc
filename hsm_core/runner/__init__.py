"""The one file that runs tasks wherever they run, `runner.py`; this package only carries it."""
