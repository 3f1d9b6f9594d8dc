"""What backend authors build on: hosts, and sources that are all but finished."""

from .local_host import LocalHost
from .pool import PoolSource

__all__ = ["LocalHost", "PoolSource"]
