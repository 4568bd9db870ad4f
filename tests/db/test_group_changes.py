"""Changes to groups: who may make them, what is written, and the facts that come of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from db.engines.database import Database
from db.groups import members
from db.groups.members import GroupMember
from db.log.changes.accounts import DeleteAccount, SetDisabled
from db.log.changes.blocks import UnknownUser
from db.log.changes.groups import (
    AddMembers,
    CreateGroup,
    LastOwner,
    LeaveGroup,
    NotAllowed,
    RemoveMember,
    SetRole,
    TooManyGroups,
    TooManyMembers,
    UnknownGroup,
    UnknownMember,
    UpdateGroup,
)
from db.log.drafts import Draft, KeyReused, SenderDisabled, UnknownConversation
from db.models import EVERYBODY_ID, MemberRole, MessageKind, StoredMessage
from db.people.blocks import insert_blocks
from events.facts import ConversationChanged, Fact, Members, MembersChanged, UserChanged
from tests.db.rows import NOW, add_users, draft
from tests.db.test_mixtures import NOBODY, Process

OWNER, ADMIN, MEMBER = MemberRole.OWNER, MemberRole.ADMIN, MemberRole.MEMBER


@pytest.fixture
async def process(database: Database) -> AsyncIterator[Process]:
    """A process that writes the log."""
    process = Process(database)
    yield process
    await process.log.close()


async def _create(process: Process, actor: int, *others: int, **options: Any) -> int:
    """Begin a group; return its id."""
    fact = await process.attempt(CreateGroup(actor, "Us", others, 1000, **options))
    assert isinstance(fact, Fact), fact
    assert isinstance(fact.body, MembersChanged)
    return fact.body.conversation_id


async def _people(database: Database, conversation: int) -> dict[int, GroupMember]:
    async with database.read() as connection:
        return {row.user_id: row for row in await members.find_members(connection, [conversation])}


async def _roles(database: Database, conversation: int) -> dict[int, MemberRole]:
    people = await _people(database, conversation)
    return {id_: row.role for id_, row in people.items() if row.left_position is None}


def _to(sender: int, conversation: int, content: str = "x", key: str | None = None) -> Draft:
    return Draft(sender, None, MessageKind.TEXT, content, key, conversation_id=conversation)


async def test_a_group_begins_with_its_owner_and_those_who_were_named(
    database: Database, process: Process
) -> None:
    ann, bob, cid = await add_users(database, 3)
    await process.attempt(draft(ann))
    fact = await process.attempt(CreateGroup(ann, "Us", (bob, ann, cid, bob), 3))
    assert fact.id == 2
    assert fact.actor_id == ann
    id_ = fact.body.conversation_id
    assert fact.body == MembersChanged(id_, joined=(ann, bob, cid))
    assert fact.audience == Members(id_)
    people = await _people(database, id_)
    assert {id_: (row.role, row.joined_position) for id_, row in people.items()} == {
        ann: (OWNER, 2),
        bob: (MEMBER, 2),
        cid: (MEMBER, 2),
    }
    async with database.read() as connection:
        found = await members.find_groups(connection, [id_, EVERYBODY_ID])
    assert [(group.id, group.title) for group in found.values()] == [(id_, "Us")]


async def test_what_newcomers_see_is_decided_when_they_join(
    database: Database, process: Process
) -> None:
    ann, bob, cid = await add_users(database, 3)
    id_ = await _create(process, ann, shows_earlier=True)
    added = await process.attempt(AddMembers(ann, id_, (bob,), 9))
    assert added.body == MembersChanged(id_, joined=(bob,), shows_earlier=True)
    await process.attempt(UpdateGroup(ann, id_, shows_earlier=False))
    fact = await process.attempt(AddMembers(ann, id_, (bob, cid), 9))
    assert fact.body == MembersChanged(id_, joined=(cid,))
    people = await _people(database, id_)
    assert [people[user].sees_after for user in (ann, bob, cid)] == [0, 0, fact.id]


async def test_only_members_write_to_a_group(database: Database, process: Process) -> None:
    ann, bob, cid = await add_users(database, 3)
    id_ = await _create(process, ann, bob)
    sent = await process.attempt(_to(bob, id_))
    assert (sent.receiver_id, sent.conversation_id) == (None, id_)
    for sender, conversation in ((cid, id_), (ann, NOBODY)):
        assert isinstance(await process.attempt(_to(sender, conversation)), UnknownConversation)
    await process.attempt(RemoveMember(ann, id_, bob))
    assert isinstance(await process.attempt(_to(bob, id_)), UnknownConversation)
    await process.attempt(AddMembers(ann, id_, (bob, cid), 9))
    assert isinstance(await process.attempt(_to(bob, id_)), StoredMessage)
    assert isinstance(await process.attempt(_to(cid, id_)), StoredMessage)
    await process.attempt(SetDisabled(cid, True))
    assert isinstance(await process.attempt(_to(cid, id_)), SenderDisabled)


async def test_a_direct_conversation_can_be_named_by_its_two_people(
    database: Database, process: Process
) -> None:
    ann, bob, cid = await add_users(database, 3)
    first = await process.attempt(draft(ann, bob))
    id_ = first.conversation_id
    for sender, receiver in ((ann, bob), (bob, ann)):
        sent = await process.attempt(_to(sender, id_))
        assert (sent.receiver_id, sent.conversation_id) == (receiver, id_)
        assert process.log.receiver_in(id_, sender) == receiver
    assert process.log.receiver_in(id_, cid) is None
    assert isinstance(await process.attempt(_to(cid, id_)), UnknownConversation)
    own = await process.attempt(draft(cid, cid))
    assert (await process.attempt(_to(cid, own.conversation_id))).receiver_id == cid


async def test_a_retry_is_the_same_message_however_its_place_is_named(
    database: Database, process: Process
) -> None:
    ann, bob = await add_users(database, 2)
    direct = await process.attempt(draft(ann, bob, "a", "1"))
    assert await process.attempt(_to(ann, direct.conversation_id, "a", "1")) == direct
    id_ = await _create(process, ann, bob)
    sent = await process.attempt(_to(ann, id_, "a", "2"))
    assert await process.attempt(_to(ann, id_, "a", "2")) == sent
    assert isinstance(await process.attempt(draft(ann, None, "a", "2")), KeyReused)
    assert isinstance(await process.attempt(_to(ann, direct.conversation_id, "a", "2")), KeyReused)
    # Also after the sender was put out: it was stored when they were in it.
    await process.attempt(SetRole(ann, id_, bob, OWNER))
    await process.attempt(LeaveGroup(ann, id_))
    assert await process.attempt(_to(ann, id_, "a", "2")) == sent


async def test_roles_say_who_may_change_what(database: Database, process: Process) -> None:
    ann, bob, cid, dan, eve = await add_users(database, 5)
    id_ = await _create(process, ann, bob, cid, dan)
    await process.attempt(SetRole(ann, id_, bob, ADMIN))
    refused = {
        NotAllowed: (
            *(AddMembers(cid, id_, (eve,), 9), RemoveMember(cid, id_, dan)),
            *(UpdateGroup(cid, id_, title="Mine"), RemoveMember(cid, id_, cid)),
            *(RemoveMember(bob, id_, ann), RemoveMember(bob, id_, bob)),
            *(SetRole(bob, id_, cid, ADMIN), SetRole(bob, id_, bob, OWNER)),
        ),
        UnknownGroup: (
            *(AddMembers(eve, id_, (eve,), 9), RemoveMember(eve, id_, dan), LeaveGroup(eve, id_)),
            *(UpdateGroup(eve, id_, title="Mine"), SetRole(eve, id_, eve, OWNER)),
            *(LeaveGroup(ann, NOBODY), LeaveGroup(ann, EVERYBODY_ID)),
        ),
        UnknownMember: (RemoveMember(bob, id_, eve), SetRole(ann, id_, eve, ADMIN)),
        LastOwner: (SetRole(ann, id_, ann, MEMBER),),
        UnknownUser: (AddMembers(bob, id_, (eve, NOBODY), 9),),
        TooManyMembers: (AddMembers(bob, id_, (eve,), 4),),
    }
    for refusal, changes in refused.items():
        for change in changes:
            assert isinstance(await process.attempt(change), refusal), change
    assert await _roles(database, id_) == {ann: OWNER, bob: ADMIN, cid: MEMBER, dan: MEMBER}
    for change, body in (
        (UpdateGroup(bob, id_, title="Ours"), ConversationChanged(id_)),
        (AddMembers(bob, id_, (eve,), 9), MembersChanged(id_, joined=(eve,))),
        (RemoveMember(bob, id_, eve), MembersChanged(id_, left=(eve,))),
        (SetRole(ann, id_, cid, OWNER), MembersChanged(id_, changed=(cid,))),
        (SetRole(ann, id_, ann, MEMBER), MembersChanged(id_, changed=(ann,))),
    ):
        fact = await process.attempt(change)
        assert (fact.body, fact.audience) == (body, Members(id_))
    for nothing in (
        UpdateGroup(bob, id_, title="Ours"),
        AddMembers(bob, id_, (ann, dan), 9),
        SetRole(cid, id_, ann, MEMBER),
    ):
        assert await process.attempt(nothing) is None
    assert isinstance(await process.attempt(SetRole(bob, id_, cid, MEMBER)), NotAllowed)


async def test_nobody_is_added_across_a_block(database: Database, process: Process) -> None:
    ann, bob, cid = await add_users(database, 3)
    async with database.write() as connection:
        await insert_blocks(connection, [(ann, bob), (cid, ann)], NOW)
    for other in (bob, cid):
        refused = await process.attempt(CreateGroup(ann, "Us", (other,), 9))
        assert isinstance(refused, UnknownUser)
    id_ = await _create(process, ann)
    for other in (bob, cid):
        assert isinstance(await process.attempt(AddMembers(ann, id_, (other,), 9)), UnknownUser)
    # Two others, between whom a block stands, can be in one group.
    dan = (await add_users(database, 1))[0]
    await _create(process, dan, ann, bob, cid)


async def test_when_the_last_owner_leaves_the_oldest_admin_follows_else_the_oldest_member(
    database: Database, process: Process
) -> None:
    ann, bob, cid, dan = await add_users(database, 4)
    id_ = await _create(process, ann, bob)
    await process.attempt(AddMembers(ann, id_, (cid,), 9))
    await process.attempt(AddMembers(ann, id_, (dan,), 9))
    await process.attempt(SetRole(ann, id_, dan, ADMIN))
    left = await process.attempt(LeaveGroup(ann, id_))
    assert left.body == MembersChanged(id_, left=(ann,), changed=(dan,))
    left = await process.attempt(LeaveGroup(dan, id_))
    assert left.body == MembersChanged(id_, left=(dan,), changed=(bob,))
    assert await _roles(database, id_) == {bob: OWNER, cid: MEMBER}
    left = await process.attempt(LeaveGroup(cid, id_))
    assert left.body == MembersChanged(id_, left=(cid,))
    left = await process.attempt(LeaveGroup(bob, id_))
    assert left.body == MembersChanged(id_, left=(bob,))
    assert await _roles(database, id_) == {}
    assert isinstance(await process.attempt(_to(bob, id_)), UnknownConversation)


async def test_who_joins_again_begins_anew(database: Database, process: Process) -> None:
    ann, bob = await add_users(database, 2)
    id_ = await _create(process, ann, bob)
    await process.attempt(SetRole(ann, id_, bob, ADMIN))
    left = await process.attempt(LeaveGroup(bob, id_))
    row = (await _people(database, id_))[bob]
    assert (row.role, row.left_position) == (MEMBER, left.id)
    again = await process.attempt(AddMembers(ann, id_, (bob,), 9))
    row = (await _people(database, id_))[bob]
    assert (row.role, row.joined_position, row.left_position) == (MEMBER, again.id, None)


async def test_many_changes_of_one_batch_see_each_other(
    database: Database, process: Process
) -> None:
    ann, bob, cid, dan = await add_users(database, 4)
    id_ = await _create(process, ann, bob)
    changes = [
        AddMembers(ann, id_, (cid,), 9),
        AddMembers(ann, id_, (cid, dan), 9),
        RemoveMember(ann, id_, bob),
        RemoveMember(ann, id_, bob),
        AddMembers(ann, id_, (bob,), 9),
        LeaveGroup(ann, id_),
        SetRole(bob, id_, bob, OWNER),
    ]
    answers = [process.log.append(change) for change in changes]
    sent = process.log.append(_to(bob, id_))
    results = [await answer for answer in answers[:3]]
    with pytest.raises(UnknownMember):
        await answers[3]
    results += [await answers[4], await answers[5]]
    with pytest.raises(NotAllowed):
        await answers[6]
    assert [fact.id for fact in results] == [2, 3, 4, 5, 6]
    people = await _people(database, id_)
    assert [people[user].joined_position for user in (ann, bob, cid, dan)] == [1, 5, 2, 3]
    assert people[ann].left_position == 6
    assert people[bob].left_position is None
    assert (await sent).id == 7
    assert await _roles(database, id_) == {bob: MEMBER, cid: OWNER, dan: MEMBER}


async def test_nobody_is_put_into_more_groups_than_are_allowed(
    database: Database, process: Process
) -> None:
    ann, bob, cid, dan = await add_users(database, 4)
    # In one batch each sees those before it.
    begun = [
        process.log.append(CreateGroup(actor, "Us", (bob,), 1000, most_groups=2))
        for actor in (ann, cid, dan)
    ]
    first, second, third = await asyncio.gather(*begun, return_exceptions=True)
    assert isinstance(first, Fact)
    assert isinstance(second, Fact)
    assert isinstance(third, TooManyGroups)
    assert third.user_id == bob
    # Who begins one is in it too, and who leaves has room again.
    assert isinstance(first.body, MembersChanged)
    assert isinstance(second.body, MembersChanged)
    one, two = first.body.conversation_id, second.body.conversation_id
    refused = await process.attempt(CreateGroup(bob, "Us", (), 1000, most_groups=2))
    assert isinstance(refused, TooManyGroups)
    answers = await asyncio.gather(
        process.log.append(AddMembers(ann, one, (cid, dan), 1000, 2)),
        process.log.append(AddMembers(ann, one, (cid,), 1000, 1)),  # who is in it stays
        process.log.append(AddMembers(cid, two, (ann, dan), 1000, 2)),
        process.log.append(LeaveGroup(bob, two)),
        process.log.append(CreateGroup(dan, "Us", (bob,), 1000, most_groups=3)),
        process.log.append(CreateGroup(ann, "Us", (bob,), 1000, most_groups=2)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [
        Fact, type(None), Fact, Fact, Fact, TooManyGroups
    ]  # fmt: skip


async def test_an_account_that_ends_leaves_its_groups_and_its_name_in_one_change(
    database: Database, process: Process
) -> None:
    ann, bob, cid, dan = await add_users(database, 4)
    one, two = await _create(process, ann, bob), await _create(process, bob, ann, cid)
    other = await _create(process, cid, dan)
    answers = [process.log.append(DeleteAccount(user)) for user in (ann, bob)]
    facts = [await answer for answer in answers]
    told = [entry for entry in process.told if isinstance(entry, Fact) and entry.id >= facts[0].id]
    assert [(fact.id, fact.actor_id, fact.body) for fact in told] == [
        (4, ann, facts[0].body),
        (5, ann, UserChanged()),
        (6, ann, MembersChanged(one, left=(ann,), changed=(bob,))),
        (7, ann, MembersChanged(two, left=(ann,))),
        (8, bob, facts[1].body),
        (9, bob, UserChanged()),
        (10, bob, MembersChanged(one, left=(bob,))),
        (11, bob, MembersChanged(two, left=(bob,), changed=(cid,))),
    ]
    assert {fact.audience for fact in told if fact.body == UserChanged()} == {Members(EVERYBODY_ID)}
    assert [row.left_position for row in (await _people(database, one)).values()] == [6, 10]
    assert await _roles(database, two) == {cid: OWNER}
    assert await _roles(database, other) == {cid: OWNER, dan: MEMBER}
