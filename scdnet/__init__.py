"""Self-supervised skeleton-based action recognition."""

from scdnet.data.store import open_sequences
from scdnet.engine.checkpoint import load_encoder

__version__ = "0.1.0"

__all__ = ["__version__", "load_encoder", "open_sequences"]
