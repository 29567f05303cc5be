"""Settings from flags, environment and file, and the strict YAML that configuration is written in."""

from coordinator.settings.settings import Settings, load_settings
from coordinator.settings.strict_yaml import YamlDocument, parse_yaml, read_yaml
from coordinator.settings.validation import problems_of

__all__ = ["Settings", "YamlDocument", "load_settings", "parse_yaml", "problems_of", "read_yaml"]
