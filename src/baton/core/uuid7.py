"""Identifiers that sort by the time they were made (RFC 9562, version 7)."""

from __future__ import annotations

from uuid import UUID

from baton.words.argument_errors import InvalidOptionError

RANDOM_BYTES = 10
"""Random bytes one identifier takes; six of their 80 bits give way to version and variant."""


def uuid7(milliseconds: int, random_bytes: bytes) -> UUID:
    """The identifier of a moment, in milliseconds since 1970 (UTC), and of ten random bytes."""
    if not 0 <= milliseconds < 1 << 48:
        raise InvalidOptionError("milliseconds", milliseconds, "a whole number of 48 bits")
    if len(random_bytes) != RANDOM_BYTES:
        raise InvalidOptionError("random_bytes", random_bytes, f"{RANDOM_BYTES} bytes")
    high = int.from_bytes(random_bytes[:2], "big") & 0x0FFF
    low = int.from_bytes(random_bytes[2:], "big") & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)
