"""The board at the other end of a virtual port: ``python -m edgernn.latency.board``, used by `VirtualPortTarget`.

It reads lines of JSON: first the frames, then for each turn how many to send and the nanoseconds between them. It
answers with the port's name, and after a turn with the monotonic times at which each frame had been sent. It is a
process of its own, so that nothing of it stands in the way of the stream.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import cycle, islice

from edgernn.errors import SourceError
from edgernn.stream.sources.virtual_port import VirtualPort

LEAD_NS = 1_000_000


def _answer(words: object) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def _play(port: VirtualPort, frames: list[bytes], period_ns: int) -> list[int]:
    sent_ns = []
    port.write(b"\r\n")  # a reader trusts only what follows an end of line
    due_ns = time.monotonic_ns() + LEAD_NS
    for frame in frames:
        while (pause_ns := due_ns - time.monotonic_ns()) > 0:
            time.sleep(pause_ns / 1e9)
        sent_ns.append(time.monotonic_ns())  # before the call, in which the reader may already be woken
        if port.write(frame) < len(frame):
            raise SourceError("the virtual port is full: its reader is stuck")
        due_ns += period_ns
    return sent_ns


def main() -> None:
    """Play until standard input ends."""
    frames = cycle([frame.encode() for frame in json.loads(sys.stdin.readline())])
    with VirtualPort() as port:
        _answer(port.device)
        for line in sys.stdin:
            steps, period_ns = json.loads(line)
            _answer(_play(port, list(islice(frames, steps)), period_ns))


if __name__ == "__main__":
    main()
