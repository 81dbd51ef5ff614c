"""MLflow as the window: filled from ledger, packages and search histories, and rebuilt from them when lost."""

from registry.mirror.aliases import moved_aliases
from registry.mirror.database import begin
from registry.mirror.filling import MirrorSummary, mirror
from registry.mirror.place import default_uri, models_link

__all__ = ["MirrorSummary", "begin", "default_uri", "mirror", "models_link", "moved_aliases"]
