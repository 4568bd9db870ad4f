"""Whether a connection is read: not while too much of it waits already."""

from uvicorn.protocols.http.flow_control import FlowControl


class HeldFlow(FlowControl):
    """uvicorn's, which applications resume each time that they ask for more; unless it is held."""

    _held = False

    def hold(self) -> None:
        """Read no more, whoever asks."""
        self._held = True
        self.pause_reading()

    def let_go(self) -> None:
        """Read on."""
        self._held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        """Read on, unless held."""
        if not self._held:
            super().resume_reading()
