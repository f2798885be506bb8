"""What a service says to systemd: that it answers frames, and that it still does.

The protocol of `sd_notify(3)`: lines of `NAME=value` in one datagram to the socket that `$NOTIFY_SOCKET` names. Ready
is whoever has answered a frame, and alive whoever has answered one since: a thread of its own that pings would go on
while the engine hangs. A source that falls silent ends `run` by its own rule before the watchdog would.
"""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from edgezsl.errors import InputError, shown
from edgezsl.runtime.events import ClassesRefused, SourceChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edgezsl.runtime.events import Event, Recognition
    from edgezsl.runtime.sources import Frame

PINGS_PER_TIMEOUT = 3  # one that comes late, behind a slow frame, is still in time
_STATUS_S = 10.0  # between two status lines where there is no watchdog
_SEND_S = 0.2  # what a frame may wait for systemd; the next one tries again
_LONGEST_STATUS = 200  # characters


class ServiceSink:
    """Tells systemd, from answered frames alone, how a stream goes.

    Args:
        address: The socket as `sendto` takes it.
        timeout_s: After how many seconds of silence the watchdog fires, or None where there is none.
        clock: Gives seconds that never fall.

    Attributes:
        beside: Gives what stands beside the rate in the status, such as watts; it may be set later.
    """

    def __init__(self, address: str, timeout_s: float | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.beside: Callable[[], str] = str
        self._address = address
        self._watched = timeout_s is not None
        self._interval_s = _STATUS_S if timeout_s is None else timeout_s / PINGS_PER_TIMEOUT
        self._clock = clock
        self._answered = 0
        self._ready = self._closed = False
        self._told: tuple[float, int] = (0.0, 0)  # when, and how many frames had been answered

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ServiceSink | None:
        """Return what talks to the service manager that started this process, or None where none did.

        Args:
            environment: Gives `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.

        Raises:
            InputError: When one of them is not what systemd writes.
        """
        name = environment.get("NOTIFY_SOCKET")
        if not name:
            return None
        if name[0] not in "/@" or len(name) == 1:
            raise _refused("NOTIFY_SOCKET", name, "an absolute path, or @ and a name")
        usec, pid = environment.get("WATCHDOG_USEC"), environment.get("WATCHDOG_PID")
        if usec is not None and not re.fullmatch(r"[1-9][0-9]{0,18}", usec):
            raise _refused("WATCHDOG_USEC", usec, "microseconds, from 1")
        ours = pid in {None, "", str(os.getpid())}  # else it watches the process that started this one
        # An abstract name begins with a NUL, for which @ stands in the variable.
        return cls(f"\0{name[1:]}" if name[0] == "@" else name, int(usec) / 1e6 if usec and ours else None)

    def loading(self) -> None:
        """Say that the engine is being loaded, which may take long."""
        self._send("STATUS=loading the engine and the classes")

    def frame(self, frame: Frame, answer: Recognition) -> None:  # noqa: ARG002  # that it was answered is all that counts
        """Take the proof of progress: ready at the first answer, then a ping when one is due."""
        self._answered += 1
        now, (told_s, told_frames) = self._clock(), self._told
        if not self._ready:
            self._ready = self._send("READY=1", *self._ping(), f"STATUS=answering {answer.source}")
        elif now - told_s >= self._interval_s:
            rate = (self._answered - told_frames) / (now - told_s)
            shown = ", ".join(
                filter(None, (f"{rate:.1f} frames a second", self.beside(), f"classes {answer.revision}"))
            )
            self._send(*self._ping(), f"STATUS=answering {answer.source}, {shown}")
        else:
            return
        self._told = now, self._answered

    def event(self, event: Event) -> None:
        """Show what somebody who asks for the service's status should see."""
        if isinstance(event, ClassesRefused):
            self._send(f"STATUS=classes refused, the ones before go on: {event.error}")
        elif isinstance(event, SourceChanged) and event.type != "source_opened":
            self._send(f"STATUS={event.type.replace('_', ' ')}: {event.message}")

    def close(self) -> None:
        """Say that the end has begun; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._send("STOPPING=1")

    def _ping(self) -> tuple[str, ...]:
        return ("WATCHDOG=1",) if self._watched else ()

    def _send(self, *lines: str) -> bool:
        """Send lines as one datagram; return whether it was taken. Recognition never fails for want of a listener."""
        data = "\n".join(" ".join(line.split())[:_LONGEST_STATUS] for line in lines).encode("utf-8", "replace")
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as ours:
            ours.settimeout(_SEND_S)
            ours.sendto(data, self._address)
            return True
        return False


def _refused(name: str, value: str, expected: str) -> InputError:
    return InputError(
        f"the environment variable {name} is {shown(value)}",
        code="bad_notify",
        expected=expected,
        hint="systemd sets it for a service of Type=notify; unset it elsewhere",
    )
