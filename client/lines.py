"""Splits the bytes of standard input into lines."""

LINE_LIMIT = 1 << 20
"""Bytes; a longer line is split there."""


class LineReader:
    """Takes bytes as they come and returns lines without their ends; bytes that are not UTF-8 become U+FFFD."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Take some bytes and return the lines that are complete."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            whole.append(self._rest)
            self._rest = b""
        return [_decode(line) for line in whole]

    def end(self) -> list[str]:
        """Return the rest, if the input did not end with a line feed."""
        last, self._rest = self._rest, b""
        return [_decode(last)] if last else []


def _decode(line: bytes) -> str:
    return line.removesuffix(b"\r").decode(errors="replace")
