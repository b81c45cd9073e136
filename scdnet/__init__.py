"""Self-supervised skeleton-based action recognition."""

from typing import Any

from scdnet.data.store import open_sequences

__version__ = "0.1.0"

__all__ = ["__version__", "load_encoder", "open_sequences"]


def __getattr__(name: str) -> Any:
    """`load_encoder`, imported at its first use: reading a store and converting need no torch."""
    if name == "load_encoder":
        from scdnet.engine.checkpoint import load_encoder

        return load_encoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
