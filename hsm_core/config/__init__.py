"""`hsm_config.yaml`: what it may say, what it means, and how to change it."""

from __future__ import annotations

from .edit import Edit, Entry, entries, get_value, set_value
from .load import FILE_NAME, Layers, LoadedConfig, check_source, find_project, load_config, read_layers, user_file
from .model import ComputeConfig, HsmConfig, ProjectConfig, SourceConfig, read_resources
from .schema import RESOURCES, SCHEMA
from .units import parse_duration, parse_memory

__all__ = [
    "FILE_NAME",
    "RESOURCES",
    "SCHEMA",
    "ComputeConfig",
    "Edit",
    "Entry",
    "HsmConfig",
    "Layers",
    "LoadedConfig",
    "ProjectConfig",
    "SourceConfig",
    "check_source",
    "entries",
    "find_project",
    "get_value",
    "load_config",
    "parse_duration",
    "parse_memory",
    "read_layers",
    "read_resources",
    "set_value",
    "user_file",
]
