"""Self-supervised skeleton-based action recognition."""

from scdnet.data.store import open_sequences

__version__ = "0.1.0"

__all__ = ["__version__", "load_encoder", "open_sequences"]


def __getattr__(name: str) -> object:
    # Only when asked for: torch takes seconds and hundreds of megabytes, and the converters do without it.
    if name == "load_encoder":
        from scdnet.engine.checkpoint import load_encoder

        return load_encoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
