"""Groups begin and change; people join them, leave them, and get other roles.

An owner may do everything. An admin may change the group, add people, and remove members. A member
may leave. A group whose last owner leaves gets another one: the admin who has been in it longest,
else the member who has.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import ClassVar, Self

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from db.attachments import mark_sent
from db.conversations.activity import FOR_EVER
from db.groups import members
from db.log.changes.blocks import UnknownUser
from db.log.changes.change import Change, Made, Outcome, Refused
from db.log.changes.membership import RANKS, Membership
from db.models import MemberRole
from db.people.blocks import blocks_between
from db.people.users import existing_ids
from events.facts import ConversationChanged, Members, MembersChanged


class UnknownGroup(Refused):
    """There is no such group that the user is in."""


class NotAllowed(Refused):
    """The user's role in the group does not allow the change."""


class UnknownMember(Refused):
    """The user whom the change is about is not in the group."""


class TooManyMembers(Refused):
    """The group would have more members than are allowed."""


class TooManyGroups(Refused):
    """One of these users, perhaps the actor, would be in more groups than are allowed."""

    def __init__(self, user_id: int) -> None:
        super().__init__(user_id)
        self.user_id = user_id


class LastOwner(Refused):
    """The group would have no owner."""


class CreateGroup(Change, frozen=True, gc=False):
    """Begins a group of its owner and others. Its fact is that they have joined."""

    decides: ClassVar[bool] = True
    author: ClassVar[str] = "actor_id"

    actor_id: int
    title: str
    member_ids: tuple[int, ...]  # beside the owner
    most: int
    shows_earlier: bool = False
    avatar_id: int | None = None
    most_groups: int = FOR_EVER  # in which each of them may be

    @classmethod
    async def write_at(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime, position: int
    ) -> Sequence[Outcome]:
        """Refuses with UnknownUser, TooManyMembers and TooManyGroups."""
        barred = await _barred(connection, [(c.actor_id, c.member_ids) for c in changes])
        named = {id_ for change in changes for id_ in (change.actor_id, *change.member_ids)}
        people = Membership((), now, await members.count_groups(connection, named))
        outcomes: list[Outcome] = []
        for change, is_barred in zip(changes, barred, strict=True):
            others = [id_ for id_ in dict.fromkeys(change.member_ids) if id_ != change.actor_id]
            if is_barred:
                outcomes.append(UnknownUser())
                continue
            if len(others) >= change.most:
                outcomes.append(TooManyMembers())
                continue
            joined = (change.actor_id, *others)
            if (full := _in_too_many(people, joined, change.most_groups)) is not None:
                outcomes.append(full)
                continue
            position += 1
            id_ = await members.insert_group(
                connection,
                title=change.title,
                shows_earlier=change.shows_earlier,
                avatar_id=change.avatar_id,
                at=now,
            )
            for user_id in joined:
                people.join(id_, user_id, position, shows_earlier=change.shows_earlier)
            people.set_role(id_, change.actor_id, MemberRole.OWNER)
            fact = MembersChanged(id_, joined=joined, shows_earlier=change.shows_earlier)
            outcomes.append(Made(change.actor_id, fact, Members(id_)))
        await people.save(connection, position)
        await _keep_avatars(connection, [change.avatar_id for change in changes], now)
        return outcomes


class UpdateGroup(Change, frozen=True, gc=False):
    """Changes a group's title, its picture, or what newcomers see. None leaves it as it is."""

    author: ClassVar[str] = "actor_id"

    actor_id: int
    conversation_id: int
    title: str | None = None
    avatar_id: int | None = None
    removes_avatar: bool = False
    shows_earlier: bool | None = None

    @classmethod
    async def write(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime
    ) -> Sequence[Outcome]:
        """Refuses with UnknownGroup and NotAllowed."""
        ids = {change.conversation_id for change in changes}
        people = Membership(await members.find_members(connection, ids), now)
        known = await members.find_groups(connection, ids)
        before = dict(known)
        outcomes: list[Outcome] = []
        for change in changes:
            id_ = change.conversation_id
            if (refusal := _refusal(people, id_, change.actor_id, MemberRole.ADMIN)) is not None:
                outcomes.append(refusal)
                continue
            group = known[id_]
            avatar_id = change.avatar_id or (None if change.removes_avatar else group.avatar_id)
            shows = group.shows_earlier if change.shows_earlier is None else change.shows_earlier
            known[id_] = replace(
                group,
                title=change.title or group.title,
                avatar_id=avatar_id,
                shows_earlier=shows,
            )
            is_same = known[id_] == group
            fact = Made(change.actor_id, ConversationChanged(id_), Members(id_))
            outcomes.append(None if is_same else fact)
        changed = {
            id_: {
                "title": group.title,
                "avatar_id": group.avatar_id,
                "shows_earlier": group.shows_earlier,
            }
            for id_, group in known.items()
            if group != before[id_]
        }
        await members.update_groups(connection, changed)
        await _keep_avatars(connection, [known[id_].avatar_id for id_ in changed], now)
        return outcomes


class _ChangesMembers(Change, frozen=True, gc=False):
    """A change to the people of one group that there is. Subclasses say in `_apply` what it is."""

    decides: ClassVar[bool] = True
    author: ClassVar[str] = "actor_id"

    actor_id: int
    conversation_id: int

    @classmethod
    async def write_at(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime, position: int
    ) -> Sequence[Outcome]:
        """Refuses with UnknownGroup for who is not in it, NotAllowed, and as `_apply` does."""
        ids = {change.conversation_id for change in changes}
        counts = await cls._count_groups(connection, changes)
        people = Membership(await members.find_members(connection, ids), now, counts)
        outcomes: list[Outcome] = []
        for change in changes:
            outcome = await change._checked(connection, people, position + 1)
            position += isinstance(outcome, Made)
            outcomes.append(outcome)
        await people.save(connection, position)
        return outcomes

    @classmethod
    async def _count_groups(
        cls, connection: AsyncConnection, changes: Sequence[Self]
    ) -> dict[int, int]:
        """Return in how many groups those are whom the changes add."""
        return {}

    async def _checked(
        self, connection: AsyncConnection, people: Membership, position: int
    ) -> Outcome:
        if people.role_of(self.conversation_id, self.actor_id) is None:
            return UnknownGroup()
        return await self._apply(connection, people, position)

    async def _apply(
        self, connection: AsyncConnection, people: Membership, position: int
    ) -> Outcome:
        raise NotImplementedError

    def _made(
        self,
        *,
        joined: tuple[int, ...] = (),
        left: tuple[int, ...] = (),
        changed: tuple[int, ...] = (),
        shows_earlier: bool = False,
    ) -> Made:
        body = MembersChanged(self.conversation_id, joined, left, changed, shows_earlier)
        return Made(self.actor_id, body, Members(self.conversation_id))


class AddMembers(_ChangesMembers, frozen=True, gc=False):
    """Adds people to a group. Who is in it already stays as they are."""

    user_ids: tuple[int, ...]
    most: int
    most_groups: int = FOR_EVER  # in which each of them may be

    @classmethod
    async def _count_groups(
        cls, connection: AsyncConnection, changes: Sequence[Self]
    ) -> dict[int, int]:
        named = {user_id for change in changes for user_id in change.user_ids}
        return await members.count_groups(connection, named)

    async def _apply(
        self, connection: AsyncConnection, people: Membership, position: int
    ) -> Outcome:
        """Refuses with NotAllowed, UnknownUser, TooManyMembers and TooManyGroups."""
        id_ = self.conversation_id
        if (refusal := _refusal(people, id_, self.actor_id, MemberRole.ADMIN)) is not None:
            return refusal
        present = people.present(id_)
        new = tuple(user for user in dict.fromkeys(self.user_ids) if user not in present)
        [barred] = await _barred(connection, [(self.actor_id, new)])
        if barred:
            return UnknownUser()
        if not new:
            return None
        if len(present) + len(new) > self.most:
            return TooManyMembers()
        if (full := _in_too_many(people, new, self.most_groups)) is not None:
            return full
        shows_earlier = (await members.find_groups(connection, [id_]))[id_].shows_earlier
        for user_id in new:
            people.join(id_, user_id, position, shows_earlier=shows_earlier)
        return self._made(joined=new, shows_earlier=shows_earlier)


class RemoveMember(_ChangesMembers, frozen=True, gc=False):
    """Removes somebody of a lower role from a group."""

    user_id: int

    async def _apply(
        self, connection: AsyncConnection, people: Membership, position: int
    ) -> Outcome:
        """Refuses with NotAllowed and UnknownMember."""
        id_ = self.conversation_id
        own, role = (people.role_of(id_, user) for user in (self.actor_id, self.user_id))
        if own is MemberRole.MEMBER:
            return NotAllowed()
        if role is None:
            return UnknownMember()
        if own is None or RANKS[own] <= RANKS[role]:
            return NotAllowed()
        people.leave(id_, self.user_id, position)
        return self._made(left=(self.user_id,))


class LeaveGroup(_ChangesMembers, frozen=True, gc=False):
    """Has a member leave. Where that was the last owner, somebody else becomes owner."""

    async def _apply(
        self, connection: AsyncConnection, people: Membership, position: int
    ) -> Outcome:
        """Refuses nothing."""
        heirs = people.leave(self.conversation_id, self.actor_id, position)
        return self._made(left=(self.actor_id,), changed=heirs)


class SetRole(_ChangesMembers, frozen=True, gc=False):
    """Has an owner give somebody in the group a role; there may be several owners."""

    user_id: int
    role: MemberRole

    async def _apply(
        self, connection: AsyncConnection, people: Membership, position: int
    ) -> Outcome:
        """Refuses with NotAllowed, UnknownMember and LastOwner."""
        id_ = self.conversation_id
        if (refusal := _refusal(people, id_, self.actor_id, MemberRole.OWNER)) is not None:
            return refusal
        role = people.role_of(id_, self.user_id)
        if role is None:
            return UnknownMember()
        if role is self.role:
            return None
        owners = [row for row in people.present(id_).values() if row.role is MemberRole.OWNER]
        if role is MemberRole.OWNER:
            # Owners do not demote each other: only themselves.
            if self.user_id != self.actor_id:
                return NotAllowed()
            if len(owners) == 1:
                return LastOwner()
        people.set_role(id_, self.user_id, self.role)
        return self._made(changed=(self.user_id,))


async def leave_all(
    connection: AsyncConnection, user_ids: Collection[int], now: datetime, positions: dict[int, int]
) -> dict[int, list[Made]]:
    """Have users, whose accounts end, leave their groups; return the facts of each.

    `positions` has, for each user in order, the position after which these facts stand, as if
    nobody before them had left a group.
    """
    ids = await members.groups_of(connection, user_ids)
    people = Membership(await members.find_members(connection, ids), now)
    made: dict[int, list[Made]] = {}
    more = 0
    for user_id in user_ids:
        made[user_id] = []
        for id_ in sorted(ids):
            if people.role_of(id_, user_id) is None:
                continue
            more += 1
            heirs = people.leave(id_, user_id, positions[user_id] + more)
            body = MembersChanged(id_, left=(user_id,), changed=heirs)
            made[user_id].append(Made(user_id, body, Members(id_)))
    # Nobody looks at the groups by these accounts any more.
    await people.save(connection, max(positions.values(), default=0) + more, come_back=False)
    return made


def _refusal(
    people: Membership, conversation_id: int, actor_id: int, least: MemberRole
) -> Refused | None:
    role = people.role_of(conversation_id, actor_id)
    if role is None:
        return UnknownGroup()
    return None if RANKS[role] >= RANKS[least] else NotAllowed()


def _in_too_many(people: Membership, joining: Iterable[int], most: int) -> TooManyGroups | None:
    """Return the refusal if one of those who would join is in so many groups already."""
    full = (user_id for user_id in joining if people.groups_of(user_id) >= most)
    return next((TooManyGroups(user_id) for user_id in full), None)


async def _barred(
    connection: AsyncConnection, asked: Sequence[tuple[int, Collection[int]]]
) -> list[bool]:
    """For each actor, and the users they add: whether one is missing, or kept apart by a block."""
    actors = {actor for actor, _ in asked}
    added = {user for _, users in asked for user in users}
    known = await existing_ids(connection, added) if added else set()
    blocks = await blocks_between(connection, actors, added) if added else set()
    return [
        any(
            user not in known or (actor, user) in blocks or (user, actor) in blocks
            for user in users
        )
        for actor, users in asked
    ]


async def _keep_avatars(
    connection: AsyncConnection, ids: Iterable[int | None], now: datetime
) -> None:
    """Keep the pictures from the sweep of what was never sent."""
    if kept := [id_ for id_ in ids if id_ is not None]:
        await mark_sent(connection, kept, now)
