"""The reading of our source sees what is taken from a base, and says what the base has no more."""

from tests.seams.reading import inherited_by, missing, unlike, used_of


class Library:
    """As it was."""

    def __init__(self) -> None:
        self.kept = 1

    def called(self, one: int) -> None: ...

    def gone(self) -> None: ...


class Ours(Library):
    """What we make of it."""

    limit = 3

    def __init__(self) -> None:
        super().__init__()
        self.own = 2

    def called(self, one: int) -> None:
        self.kept += self.own + self.limit + one
        self.gone()
        self.own.conjugate()


class Upgraded:
    """As it is now."""

    def __init__(self) -> None:
        self.kept = 1

    def called(self, one: int, two: int = 0) -> None: ...


def test_what_is_taken_from_a_base_is_seen() -> None:
    assert inherited_by(Ours) == {"__init__", "kept", "gone"}
    assert used_of("self.own", Ours) == {"conjugate"}


def test_what_is_gone_or_called_otherwise_is_said() -> None:
    assert missing(inherited_by(Ours), Library()) == []
    assert missing(inherited_by(Ours), Upgraded()) == ["gone"]
    assert unlike(Ours, Library, ["called"]) == []
    assert unlike(Ours, Upgraded, ["called", "gone"]) == [
        "Upgraded.called takes ['one', 'two']",
        "Upgraded.gone is gone",
    ]
