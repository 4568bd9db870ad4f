"""Whether a connection is read: not while too much of what it sent waits."""

from uvicorn.protocols.http.flow_control import FlowControl


class BackpressureFlow(FlowControl):
    """uvicorn's flow control, which reads on whenever an application asks; unless it is blocked."""

    _blocked = False

    def block(self) -> None:
        """Stop reading, whoever asks to read on."""
        self._blocked = True
        self.pause_reading()

    def unblock(self) -> None:
        """Read on."""
        self._blocked = False
        self.resume_reading()

    def resume_reading(self) -> None:
        """Read on, unless blocked."""
        if not self._blocked:
            super().resume_reading()
