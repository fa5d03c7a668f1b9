"""Commands of the SDK at a real service: each has its own outcome, also when many are given at once."""

import asyncio
from pathlib import Path

import tsudoi
from tests.support.services import Gateway, at
from tsudoi import CommandRefused, events


def test_commands_that_are_given_at_once_have_each_its_own_outcome(tmp_path: Path) -> None:
    async def story(server: tsudoi.Server) -> None:
        async with (
            await tsudoi.create("den", name="alice", server=server) as alice,
            await tsudoi.join("den", name="bob", server=server) as bob,
            await tsudoi.join("den", name="carol", server=server),
        ):
            outcomes = await asyncio.gather(
                alice.kick("zoe"),
                alice.kick("carol"),
                alice.mute("yan"),
                alice.set_topic("お茶"),
                alice.topic(),
                alice.who(),
                alice.set_password("moon"),
                alice.nick("bob"),
                alice.nick("アリス"),
                alice.msg("bob", "psst"),
                bob.kick("carol"),
                return_exceptions=True,
            )
            refused = {at: each.code for at, each in enumerate(outcomes) if isinstance(each, CommandRefused)}
            assert refused == {0: "no-such-member", 2: "no-such-member", 7: "name-taken", 10: "not-host"}
            assert outcomes[4] == "お茶"
            assert isinstance(outcomes[5], list)
            assert {person.name for person in outcomes[5]} == {"alice", "bob"}
            assert [outcomes[at] for at in (1, 3, 6, 8, 9)] == [None] * 5
            assert alice.name == "アリス"
            await alice.close_room()
            async for event in bob:
                assert not isinstance(event, events.Answered)  # they were the commands' own
            assert isinstance(event, events.RoomClosed)

    with Gateway("--data", str(tmp_path)) as gateway:
        asyncio.run(story(at(gateway)))
