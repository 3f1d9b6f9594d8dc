"""What runs on the other machine, sent there as text through the standard input of a Python 3.6 or newer."""
