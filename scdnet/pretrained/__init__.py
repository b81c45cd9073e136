"""Weights that ship: a directory for each name, as `scdnet export` writes it (docs/export.md)."""
