"""`hsm_config.yaml`: what it may say, what it means, and how to change it."""

from __future__ import annotations

from .load import FILE_NAME, LoadedConfig, check_source, find_project, load_config, read_layers, user_file
from .model import ComputeConfig, HsmConfig, ProjectConfig, SourceConfig, SshConfig, read_resources
from .schema import RESOURCES, SCHEMA
from .units import parse_duration, parse_memory

__all__ = [
    "FILE_NAME",
    "RESOURCES",
    "SCHEMA",
    "ComputeConfig",
    "HsmConfig",
    "LoadedConfig",
    "ProjectConfig",
    "SourceConfig",
    "SshConfig",
    "check_source",
    "find_project",
    "load_config",
    "parse_duration",
    "parse_memory",
    "read_layers",
    "read_resources",
    "user_file",
]
