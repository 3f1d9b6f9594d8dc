"""`python -m hsm_core` is `hsm`."""

from .cli import main

if __name__ == "__main__":
    main()
