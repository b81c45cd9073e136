"""Self-supervised skeleton-based action recognition."""

from scdnet.data.store import open_sequences

__version__ = "0.1.0"

__all__ = ["__version__", "open_sequences"]
