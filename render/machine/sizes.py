"""Sizes of files in words."""

from __future__ import annotations


def in_words(size_bytes: float) -> str:
    """Return a number of bytes as a person reads it: "12 bytes", "980 kB", "12.3 MB", "4.5 GB"; never a 0 of a unit."""
    if size_bytes < 1e3:
        return "1 byte" if size_bytes == 1 else f"{size_bytes:.0f} bytes"
    if round(size_bytes / 1e3) < 1e3:
        return f"{size_bytes / 1e3:.0f} kB"
    count, unit = (size_bytes / 1e6, "MB") if round(size_bytes / 1e6, 1) < 1e3 else (size_bytes / 1e9, "GB")
    return f"{count:,.1f}".removesuffix(".0") + f" {unit}"
