"""Identifiers by time."""

from uuid import RFC_4122, UUID

import pytest
from hypothesis import given, strategies as st

from baton.core.uuid7 import uuid7
from baton.errors import InvalidOptionError

MOMENTS = st.integers(0, 2**48 - 1)
TEN_BYTES = st.binary(min_size=10, max_size=10)


def test_the_example_of_the_standard() -> None:
    # RFC 9562, appendix A.6: rand_a is 0xCC3, rand_b is 0x18C4DC0C0C07398F.
    made = uuid7(0x017F22E279B0, bytes.fromhex("0CC3" + "18C4DC0C0C07398F"))
    assert made == UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


@given(MOMENTS, TEN_BYTES)
def test_version_variant_and_time(milliseconds: int, random_bytes: bytes) -> None:
    made = uuid7(milliseconds, random_bytes)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == milliseconds


@given(MOMENTS, MOMENTS, TEN_BYTES, TEN_BYTES)
def test_they_sort_by_time(early: int, late: int, one: bytes, other: bytes) -> None:
    early, late = sorted((early, late))
    assert early == late or uuid7(early, one) < uuid7(late, other)


@given(st.integers(0, 73))
def test_every_random_bit_counts(bit: int) -> None:
    # 74 bits are kept: 12 of the first two bytes, 62 of the other eight.
    place = bit if bit < 62 else bit + 2
    changed = (1 << place).to_bytes(10, "big")
    assert uuid7(1, changed) != uuid7(1, bytes(10))


@pytest.mark.parametrize("milliseconds", [-1, 2**48])
def test_a_moment_out_of_range_is_refused(milliseconds: int) -> None:
    with pytest.raises(InvalidOptionError):
        uuid7(milliseconds, bytes(10))


@pytest.mark.parametrize("size", [0, 9, 11])
def test_the_wrong_number_of_bytes_is_refused(size: int) -> None:
    with pytest.raises(InvalidOptionError):
        uuid7(0, bytes(size))
