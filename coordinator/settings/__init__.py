"""Settings from flags, environment and file; and the strict YAML of every configuration file."""

from coordinator.settings.near import among, nearest
from coordinator.settings.settings import Settings, load_settings
from coordinator.settings.strict_yaml import YamlDocument, parse_yaml, read_yaml
from coordinator.settings.validation import problems_of

__all__ = [
    "Settings",
    "YamlDocument",
    "among",
    "load_settings",
    "nearest",
    "parse_yaml",
    "problems_of",
    "read_yaml",
]
