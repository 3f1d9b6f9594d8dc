"""The files that `hsm config init` writes."""

from __future__ import annotations

import math
from typing import Any, Mapping, Optional, Sequence

from ..contract import SourceSpec
from ..flatyaml import value_text
from ..yamlfile.scalars import as_yaml

__all__ = ["SWEEPS_README", "SWEEP_EXAMPLE", "render_config", "render_sweep"]

_CONFIG = """\
# How hsm runs this project. `hsm config show` lists every key that could be here,
# `hsm config set KEY VALUE` changes one, `hsm config validate` checks the file.
project:
  name: {name}
  script: {script}
  python: {python}
{conda_env}\
  # How the program takes its parameters: argparse (--lr 0.1), hydra (lr=0.1),
  # json (a file, named in HSM_PARAMS_FILE) or env (HSM_PARAM_LR=0.1).
  arg_style: {arg_style}

compute:
  # How many more times a task is tried when its program fails.
  retries: 0
  # The longest a task may run, such as 90m or 2h30m; null for no limit.
  timeout: null

{sources}"""

_OTHER_SOURCES = """\
# Other places to run on, by the names that `hsm run --sources` then takes:
# sources:
#   gpu1: {kind: ssh, host: user@gpu1, slots: 4, project: my_project}
"""
_BATCH_SOURCE = """\
# What each task asks for; what is left out is the batch system's own default.
# resources: {{cpus: 1, memory: 4G, walltime: 2h}}

# Places to run on, by the names that `hsm run --sources` takes. Try one with: hsm test {name}
sources:
  {name}:
    kind: {kind}
{options}\
    # slots: 32      # at most so many tasks at once; otherwise as many as it runs
  # gpu1: {{kind: ssh, host: user@gpu1, slots: 4, project: my_project}}
"""

SWEEP_EXAMPLE = """\
# Every combination of these values is one task: 3 x 3 x 3 = 27.
# Write the names of your program's own parameters here.
grid:
  learning_rate: [0.001, 0.01, 0.1]
  batch_size: [32, 64, 128]
  hidden_dim: [64, 128, 256]

metadata:
  description: "Hyperparameter search for my model"
  tags: ["baseline", "grid_search"]
"""

SWEEPS_README = """\
# Sweeps

`sweep_config.yaml` says which parameters are tried. From the project's folder:

    hsm config validate        # is everything right?
    hsm run --count-only       # how many combinations?
    hsm run --dry-run          # what would be run?
    hsm run                    # run them on this machine
    hsm status                 # how far is it?
    hsm complete ID            # carry on after an interruption
    hsm export ID --format csv # a table of parameters and metrics

Each sweep has a folder in `outputs/`, and each task one in `outputs/ID/tasks/`, with its parameters, its output and its
results. A program that writes `{"loss": 0.1}` to the file named in `HSM_METRICS_FILE` finds it in the table.
"""


def render_config(
    name: str,
    script: str,
    python: str,
    arg_style: str,
    conda_env: Optional[str] = None,
    batch: Optional[SourceSpec] = None,
) -> str:
    """The text of a new `hsm_config.yaml`.

    :param batch: the batch system that was found here, under the name that it gets.
    """
    sources = _OTHER_SOURCES
    if batch is not None:
        options = "".join(f"    {key}: {as_yaml(value)}\n" for key, value in batch.options.items())
        sources = _BATCH_SOURCE.format(name=as_yaml(batch.name), kind=as_yaml(batch.kind), options=options)
    return _CONFIG.format(
        name=as_yaml(name),
        script=as_yaml(script),
        python=as_yaml(python),
        conda_env=f"  conda_env: {as_yaml(conda_env)}\n" if conda_env else "",
        arg_style=arg_style,
        sources=sources,
    )


def render_sweep(script: str, grid: Mapping[str, Sequence[Any]]) -> str:
    """The text of a first `sweep_config.yaml`: the example's grid, or one of options that the script takes."""
    example = {"learning_rate", "batch_size", "hidden_dim"}
    if not grid or example <= set(grid):
        return SWEEP_EXAMPLE
    sizes = [len(values) for values in grid.values()]
    return "\n".join(
        [
            f"# Every combination of these values is one task: {' x '.join(map(str, sizes))} = {math.prod(sizes)}.",
            "# The names are options of the program, the values lie around its defaults: write what you want to try.",
            "grid:",
            *(f"  {as_yaml(name)}: {as_yaml(list(values))}" for name, values in grid.items()),
            "",
            "metadata:",
            f"  description: {value_text(f'Hyperparameter search with {script}')}",
            '  tags: ["baseline", "grid_search"]',
            "",
        ]
    )
