"""Settings from flags, environment and file; and the strict YAML of every configuration file."""

from coordinator.settings.settings import Settings, load_settings
from coordinator.settings.strict_yaml import YamlDocument, parse_yaml, read_yaml
from coordinator.settings.validation import nearest, problems_of

__all__ = [
    "Settings",
    "YamlDocument",
    "load_settings",
    "nearest",
    "parse_yaml",
    "problems_of",
    "read_yaml",
]
