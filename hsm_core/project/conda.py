"""Entering a conda environment by name from a shell that is not a login shell."""

from __future__ import annotations

import shlex
from typing import Optional, Tuple

__all__ = ["activation"]

_FIND = (
    "for hsm_conda in conda mamba micromamba; do command -v $hsm_conda >/dev/null 2>&1 && break; hsm_conda=; done",
    'if [ -z "$hsm_conda" ]; then for hsm_base in "$HOME"/miniforge3 "$HOME"/mambaforge "$HOME"/miniconda3 '
    '"$HOME"/anaconda3 /opt/conda; do [ -x "$hsm_base/bin/conda" ] && hsm_conda="$hsm_base/bin/conda" && break; '
    "done; fi",
    'if [ -z "$hsm_conda" ]; then echo "conda, mamba and micromamba are not to be found" >&2; exit 1; fi',
    'case "$hsm_conda" in micromamba) eval "$(micromamba shell hook --shell bash)" ;; '
    '*) eval "$("$hsm_conda" shell.bash hook)" ;; esac',
)


def activation(environment: Optional[str]) -> Tuple[str, ...]:
    """Shell lines that enter an environment, by name or folder; none for None.

    Conda is looked for on PATH and in the usual folders, because batch and ssh shells have not set it up.
    """
    if environment is None:
        return ()
    enter = f'"${{hsm_conda##*/}}" activate {shlex.quote(environment)} || exit 1'
    return (*_FIND, enter)
