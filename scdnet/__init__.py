"""Self-supervised skeleton-based action recognition."""

from typing import Any

from scdnet.data.store import open_sequences

__version__ = "0.1.0"

__all__ = ["__version__", "load_classifier", "load_encoder", "open_sequences"]


def __getattr__(name: str) -> Any:
    """`load_encoder` and `load_classifier`, imported when first used: reading a store and converting need no torch."""
    if name == "load_encoder":
        from scdnet.engine.checkpoint import load_encoder

        return load_encoder
    if name == "load_classifier":
        from scdnet.eval.classify import load_classifier

        return load_classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
