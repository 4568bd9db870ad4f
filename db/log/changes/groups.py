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
from db.blocks import blocks_between
from db.groups import members
from db.groups.members import StoredMember
from db.log.changes.blocks import UnknownUser
from db.log.changes.change import Change, Made, Outcome, Refused
from db.models import MemberRole
from db.users import existing_ids
from events.facts import ConversationChanged, Members, MembersChanged

_RANKS = {MemberRole.MEMBER: 0, MemberRole.ADMIN: 1, MemberRole.OWNER: 2}


class UnknownGroup(Refused):
    """There is no such group that the user is in."""


class NotAllowed(Refused):
    """The user's role in the group does not allow the change."""


class UnknownMember(Refused):
    """The user whom the change is about is not in the group."""


class TooManyMembers(Refused):
    """The group would have more members than are allowed."""


class LastOwner(Refused):
    """The group would have no owner."""


class Membership:
    """The people of the groups that a run of changes names: each change sees those before it."""

    def __init__(self, rows: Iterable[StoredMember], now: datetime) -> None:
        self._now = now
        self._before: dict[tuple[int, int], StoredMember] = {}
        self._rows: dict[int, dict[int, StoredMember]] = {}
        for row in rows:
            self._before[row.conversation_id, row.user_id] = row
            self._put(row)

    def present(self, conversation_id: int) -> dict[int, StoredMember]:
        """Return who is in the group, by their ids."""
        rows = self._rows.get(conversation_id, {})
        return {id_: row for id_, row in rows.items() if row.left_position is None}

    def role_of(self, conversation_id: int, user_id: int) -> MemberRole | None:
        """Return the user's role; None for somebody who is not in the group."""
        row = self._rows.get(conversation_id, {}).get(user_id)
        return None if row is None or row.left_position is not None else row.role

    def join(self, conversation_id: int, user_id: int, role: MemberRole, sees_after: int) -> None:
        """Have a user be in the group from now on; they see what lies past a position."""
        self._put(StoredMember(conversation_id, user_id, role, sees_after, None, self._now))

    def set_role(self, conversation_id: int, user_id: int, role: MemberRole) -> None:
        """Give somebody who is in the group another role."""
        self._put(replace(self._rows[conversation_id][user_id], role=role))

    def leave(self, conversation_id: int, user_id: int, position: int) -> tuple[int, ...]:
        """Have a user leave the group at a position; return who has become its owner by that."""
        row = self._rows[conversation_id][user_id]
        self._put(replace(row, left_position=position, role=MemberRole.MEMBER))
        rest = self.present(conversation_id).values()
        if not rest or any(other.role is MemberRole.OWNER for other in rest):
            return ()
        heir = min(
            rest,
            key=lambda row: (-_RANKS[row.role], row.joined_at, row.joined_position, row.user_id),
        )
        self.set_role(conversation_id, heir.user_id, MemberRole.OWNER)
        return (heir.user_id,)

    async def save(self, connection: AsyncConnection, position: int) -> None:
        """Write what has changed."""
        rows = [row for of_group in self._rows.values() for row in of_group.values()]
        new = [row for row in rows if (row.conversation_id, row.user_id) not in self._before]
        old = [
            (self._before[row.conversation_id, row.user_id], row)
            for row in rows
            if (row.conversation_id, row.user_id) in self._before
        ]
        await members.insert_members(connection, new, position)
        await members.update_members(connection, [row for was, row in old if row != was])
        again = [row for was, row in old if row.joined_at != was.joined_at]
        await members.renew_members(connection, again, position)

    def _put(self, row: StoredMember) -> None:
        self._rows.setdefault(row.conversation_id, {})[row.user_id] = row


class CreateGroup(Change, frozen=True, gc=False):
    """Begins a group of its owner and others. Its fact is that they have joined."""

    decides: ClassVar[bool] = True

    actor_id: int
    title: str
    member_ids: tuple[int, ...]  # beside the owner
    most: int
    shows_earlier: bool = False
    avatar_id: int | None = None

    @classmethod
    async def write_at(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime, position: int
    ) -> Sequence[Outcome]:
        """Refuses with UnknownUser and TooManyMembers."""
        barred = await _barred(connection, [(c.actor_id, c.member_ids) for c in changes])
        people = Membership((), now)
        outcomes: list[Outcome] = []
        for change, is_barred in zip(changes, barred, strict=True):
            others = [id_ for id_ in dict.fromkeys(change.member_ids) if id_ != change.actor_id]
            if is_barred:
                outcomes.append(UnknownUser())
                continue
            if len(others) >= change.most:
                outcomes.append(TooManyMembers())
                continue
            position += 1
            id_ = await members.insert_group(
                connection,
                title=change.title,
                shows_earlier=change.shows_earlier,
                avatar_id=change.avatar_id,
                at=now,
            )
            sees_after = 0 if change.shows_earlier else position
            people.join(id_, change.actor_id, MemberRole.OWNER, sees_after)
            for other in others:
                people.join(id_, other, MemberRole.MEMBER, sees_after)
            joined = (change.actor_id, *others)
            fact = MembersChanged(id_, joined=joined, shows_earlier=change.shows_earlier)
            outcomes.append(Made(change.actor_id, fact, Members(id_)))
        await people.save(connection, position)
        await _keep_avatars(connection, [change.avatar_id for change in changes], now)
        return outcomes


class UpdateGroup(Change, frozen=True, gc=False):
    """Changes a group's title, its picture, or what newcomers see. None leaves it as it is."""

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

    actor_id: int
    conversation_id: int

    @classmethod
    async def write_at(
        cls, connection: AsyncConnection, changes: Sequence[Self], now: datetime, position: int
    ) -> Sequence[Outcome]:
        """Refuses with UnknownGroup for who is not in it, NotAllowed, and as `_apply` does."""
        ids = {change.conversation_id for change in changes}
        people = Membership(await members.find_members(connection, ids), now)
        outcomes: list[Outcome] = []
        for change in changes:
            outcome = await change._checked(connection, people, position + 1)
            position += isinstance(outcome, Made)
            outcomes.append(outcome)
        await people.save(connection, position)
        return outcomes

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

    async def _apply(
        self, connection: AsyncConnection, people: Membership, position: int
    ) -> Outcome:
        """Refuses with NotAllowed, UnknownUser and TooManyMembers."""
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
        shows_earlier = (await members.find_groups(connection, [id_]))[id_].shows_earlier
        for user_id in new:
            people.join(id_, user_id, MemberRole.MEMBER, 0 if shows_earlier else position)
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
        if own is None or _RANKS[own] <= _RANKS[role]:
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

    `positions` has, for each user in order, the position of the account's own fact, as if nobody
    before them had left a group.
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
    await people.save(connection, max(positions.values(), default=0) + more)
    return made


def _refusal(
    people: Membership, conversation_id: int, actor_id: int, least: MemberRole
) -> Refused | None:
    role = people.role_of(conversation_id, actor_id)
    if role is None:
        return UnknownGroup()
    return None if _RANKS[role] >= _RANKS[least] else NotAllowed()


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
