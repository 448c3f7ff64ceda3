"""A reader of pprof's profile.proto, as much of it as a sum by function needs.

The numbers below are the field numbers of proto/profile.proto (github.com/google/pprof). PyPI has writers of the
format, but no kept-up reader.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

_SAMPLE_TYPE, _SAMPLE, _LOCATION, _FUNCTION, _STRING = 1, 2, 4, 5, 6
_DURATION_NS: Final = 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MASK: Final = (1 << 64) - 1

_T = TypeVar("_T")


class ProfileError(ValueError):
    """The bytes are no profile."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Values by stack."""

    types: tuple[tuple[str, str], ...]
    """What is measured and in what unit, for instance ``("cpu", "nanoseconds")``."""
    stacks: tuple[tuple[str, ...], ...]
    """Function names, the outermost caller first."""
    values: tuple[tuple[int, ...], ...]
    """For each stack one value of each type."""
    duration_ns: int

    def column(self, kind: str) -> int:
        """The type of that name, or the last one, which pprof shows by default."""
        return next((place for place, (name, _) in enumerate(self.types) if name == kind), len(self.types) - 1)


def decode(content: bytes) -> Profile:
    """A profile, gzipped or not.

    Raises:
        ProfileError: it is torn, or something else.
    """
    try:
        raw = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        return _decode(raw)
    except (ValueError, IndexError, KeyError, OSError, EOFError, zlib.error) as error:
        raise ProfileError(f"is no profile: {error or type(error).__name__}") from None


def folded(profile: Profile, kind: str) -> list[str]:
    """Stacks as Brendan Gregg's flame graphs take them: ``outer;inner VALUE``, equal ones added up."""
    column = profile.column(kind)
    sums: dict[str, int] = {}
    for stack, values in zip(profile.stacks, profile.values, strict=True):
        line = ";".join(name.replace(";", ":") for name in stack)
        sums[line] = sums.get(line, 0) + values[column]
    return [f"{line} {value}" for line, value in sorted(sums.items()) if value]


def _decode(raw: bytes) -> Profile:
    strings: list[str] = []
    types: list[Mapping[int, int]] = []
    samples: list[bytes] = []
    functions: dict[int, int] = {}
    locations: dict[int, tuple[int, ...]] = {}
    duration_ns = 0
    for field, value in _fields(raw):
        if field == _STRING:
            strings.append(_expect(value, bytes).decode("utf-8", "replace"))
        elif field == _SAMPLE_TYPE:
            types.append(_integers(_expect(value, bytes)))
        elif field == _SAMPLE:
            samples.append(_expect(value, bytes))
        elif field == _LOCATION:
            number, lines = _location(_expect(value, bytes))
            locations[number] = lines
        elif field == _FUNCTION:
            parts = _integers(_expect(value, bytes))
            functions[parts[1]] = parts.get(2, 0)
        elif field == _DURATION_NS:
            duration_ns = _signed(_expect(value, int))
    if not types:
        raise ProfileError("it has no sample type")
    stacks: list[tuple[str, ...]] = []
    values: list[tuple[int, ...]] = []
    for sample in samples:
        places, amounts = _sample(sample)
        if len(amounts) != len(types):
            raise ProfileError("a sample has not one value of each type")
        names = [strings[functions[number]] for place in places for number in locations[place]]
        stacks.append(tuple(reversed(names)))
        values.append(amounts)
    return Profile(
        tuple((strings[kind.get(1, 0)], strings[kind.get(2, 0)]) for kind in types),
        tuple(stacks),
        tuple(values),
        duration_ns,
    )


def _sample(message: bytes) -> tuple[list[int], tuple[int, ...]]:
    """Locations, the innermost first, and values."""
    places: list[int] = []
    amounts: list[int] = []
    for field, value in _fields(message):
        if field in (1, 2):
            numbers = [value] if isinstance(value, int) else list(_packed(value))
            (places if field == 1 else amounts).extend(numbers)
    return places, tuple(map(_signed, amounts))


def _location(message: bytes) -> tuple[int, tuple[int, ...]]:
    """A location's number and its functions: of inlined calls the innermost comes first."""
    number = 0
    lines: list[int] = []
    for field, value in _fields(message):
        if field == 1:
            number = _expect(value, int)
        elif field == 4:
            lines.append(_integers(_expect(value, bytes)).get(1, 0))
    return number, tuple(lines)


# --- protobuf's wire format (protobuf.dev/programming-guides/encoding) ---------------------------------------


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield field, value
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ProfileError(f"wire type {wire}")
        if at + length > len(message):
            raise ProfileError("it is torn")
        yield field, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _MASK, at
        shift += 7
        if shift > 63:
            raise ProfileError("a number is too long")


def _packed(content: bytes) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def _integers(message: bytes) -> dict[int, int]:
    return {field: value for field, value in _fields(message) if isinstance(value, int)}


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _expect(value: int | bytes, kind: type[_T]) -> _T:
    if not isinstance(value, kind):
        raise ProfileError("a field is of another type")
    return value
