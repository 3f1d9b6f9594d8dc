"""paramiko, imported without the noise: it is for us to say what a person needs to know.

On older Pythons its libraries warn of the future at every start; and it logs each connection that breaks, with a
traceback, to wherever Python puts what nobody listens to.
"""

from __future__ import annotations

import logging
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import paramiko
    from paramiko.agent import AgentSSH

logging.getLogger("paramiko").addHandler(logging.NullHandler())

__all__ = ["AgentSSH", "paramiko"]
