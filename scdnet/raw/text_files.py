"""The text of files in any encoding that is certain."""

from scdnet.raw.file_kinds import describe_bytes, find_encoding
from scdnet.raw.raw_files import RawFileError


def decode_text(data: bytes, where: str, *, fallback: str | None = None) -> str:
    """Decode a text in UTF-8, UTF-16 or UTF-32.

    `fallback` is the encoding of a text in which every byte has a meaning; without it, a text in
    another encoding raises RawFileError, as does what is no text at all.
    """
    kind = describe_bytes(data) if data else None
    if kind is not None:
        raise RawFileError(where, 0, f"expected a text, found {kind}")
    encoding = find_encoding(data) or "utf-8"
    if encoding.startswith("utf-16") and len(data) % 2:
        # Half a line end, as tools leave it that take every text for bytes.
        data = data.removesuffix(b"\n")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if fallback is not None and encoding == "utf-8":
            return data.decode(fallback)
        line = data[: error.start].count(b"\n") + 1
        raise RawFileError(
            where, line, f"expected UTF-8, found byte 0x{data[error.start]:02x}; save it as UTF-8"
        ) from error
