"""Kinds of files by their first bytes, for messages."""

import codecs

from scdnet.files import name_download_fault

# The first bytes of files -> which kind they are of, and what to do with them.
BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a zip or an Excel workbook (.xlsx), which must be saved as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls), which must be saved as CSV"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive, which must be unpacked first"),
    (b"Rar!", "a rar archive, which must be unpacked first"),
    (b"\x1f\x8b", "a gzip file, which must be unpacked first"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "an array of numpy (.npy)"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"%PDF", "a PDF"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
)

# The longest mark comes first: that of UTF-32 begins with that of UTF-16.
BYTE_ORDER_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
# A text with more is none.
MAX_NUL_SHARE = 0.1
# Bytes that tell whether a text without a byte order mark is UTF-16.
NUM_PEEKED = 512


def describe_bytes(data: bytes) -> str | None:
    """Return what a file is that was expected to be text, or None if nothing speaks against it."""
    if not data:
        return "an empty file"
    if not data.strip(b"\0"):
        return f"{len(data)} NUL bytes: a copy or download that was not completed"
    fault = name_download_fault(data)
    if fault is not None:
        return fault
    for beginning, kind in BEGINNINGS:
        if data.startswith(beginning):
            return kind
    # One may be a typing error, of which the line tells more.
    if data.count(0) > MAX_NUL_SHARE * len(data) and find_encoding(data) is None:
        return f"NUL bytes from byte {data.index(0)} on: binary data, or an incomplete copy"
    return None


def find_encoding(data: bytes) -> str | None:
    """Return the encoding of a text, None for UTF-8 without a byte order mark."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding
    # Every second byte of ASCII text in UTF-16 is zero, and no other.
    first = data[:NUM_PEEKED:2]
    second = data[1:NUM_PEEKED:2]
    if len(data) > 1 and not second.strip(b"\0") and first.count(0) == 0:
        return "utf-16-le"
    if len(data) > 1 and not first.strip(b"\0") and second.count(0) == 0:
        return "utf-16-be"
    return None
