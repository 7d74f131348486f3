"""Files of xz and lzma, unpacked with a bound on the dictionary: its size stands in the file, up to 4 GiB."""

from __future__ import annotations

import io
import lzma
from typing import IO

DICTIONARY = 2**27
"""Bytes that unpacking may take; the strongest preset of xz asks for 65 MiB."""
CHUNK = 2**16


class _Unpacked(io.RawIOBase):
    """The content of a stream, unpacked; raises lzma.LZMAError where it asks for more than `DICTIONARY`."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed, self._rest = packed, b""
        self._codec = lzma.LZMADecompressor(memlimit=DICTIONARY)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # a part of what it may be
        while True:
            if self._codec.eof:
                self._rest = (self._codec.unused_data or self._packed.read(CHUNK)).lstrip(b"\0")
                if not self._rest:
                    return 0
                self._codec = lzma.LZMADecompressor(memlimit=DICTIONARY)  # one stream may follow another
            elif self._codec.needs_input and not self._rest:
                self._rest = self._packed.read(CHUNK)
                if not self._rest:
                    raise EOFError("it ends before its end is marked")
            piece, self._rest = self._codec.decompress(self._rest, len(buffer)), b""
            if piece:
                buffer[: len(piece)] = piece
                return len(piece)


def open(packed: IO[bytes]) -> IO[bytes]:
    """Return a stream of what is packed in another one."""
    return io.BufferedReader(_Unpacked(packed))
