"""TLS, as people and an administrator meet it: a real gateway, the SDK, the command line, and SIGHUP."""

import asyncio
import os
import signal
import socket
import ssl
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

import tsudoi
from tests.support import forked
from tests.support.services import ROOT, Gateway

PATIENCE_S = 60.0
HERE = "127.0.0.1"


class Office:
    """An authority, and the files in which it leaves what a gateway shows."""

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.trusted, self.certificate, self.key = folder / "ca.pem", folder / "server.pem", folder / "server.key"
        self.ca.cert_pem.write_to_path(self.trusted)
        self.renew()
        self.flags = ("--tls", f"{HERE}:0", "--tls-cert", str(self.certificate), "--tls-key", str(self.key))

    def renew(self) -> None:
        issued = self.ca.issue_cert(HERE)
        issued.cert_chain_pems[0].write_to_path(self.certificate)
        issued.private_key_pem.write_to_path(self.key)
        self.key.chmod(0o600)

    def serial(self, server: tsudoi.Server) -> str:
        """The number of the certificate that the server shows now."""
        context = ssl.create_default_context(cafile=self.trusted)
        with (
            socket.create_connection((server.host, server.tcp), PATIENCE_S) as sock,
            context.wrap_socket(sock, server_hostname=server.host) as secure,
        ):
            shown = secure.getpeercert()
            assert shown
            return str(shown["serialNumber"])


def at(gateway: Gateway, authority: Path) -> tsudoi.Server:
    (address,) = gateway.addresses("tls")
    return tsudoi.Server(HERE, address[1], gateway.udp[1], tls=True, tls_ca=authority)


def run(*words: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "client", *words]
    done = forked.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.returncode, done.stdout, done.stderr


async def hears(place: tsudoi.ChatClient, text: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        async for message in place.messages():
            if message.text == text:
                return


async def test_people_chat_while_the_certificate_is_renewed(tmp_path: Path) -> None:
    office = Office(tmp_path)
    # With --tls alone nothing is open in clear text.
    with Gateway(*office.flags, data=tmp_path / "data", dialects=()) as gateway:
        assert " tcp " not in gateway.ready
        server = at(gateway, office.trusted)
        with socket.create_connection((server.host, server.tcp), PATIENCE_S) as silent:
            async with (
                await tsudoi.create("den", name="alice", password="secret", server=server) as alice,
                await tsudoi.join("den", name="bob", password="secret", server=server) as bob,
            ):
                await alice.say("before")
                await hears(bob, "before")
                first = await asyncio.to_thread(office.serial, server)

                office.renew()
                os.kill(gateway.pid, signal.SIGHUP)
                assert await asyncio.to_thread(gateway.stderr.wait_for, lambda line: "certificate" in line, PATIENCE_S)
                second = await asyncio.to_thread(office.serial, server)
                assert second != first

                office.key.write_text("no key any more")
                os.kill(gateway.pid, signal.SIGHUP)
                line = await asyncio.to_thread(gateway.stderr.wait_for, lambda line: "not reloaded" in line, PATIENCE_S)
                assert line is not None
                assert str(office.key) in line
                assert await asyncio.to_thread(office.serial, server) == second

                await bob.say("after")
                await hears(alice, "after")
                async with await tsudoi.join("den", name="carol", password="secret", server=server) as carol:
                    await carol.say("late")
                    await hears(alice, "late")
            # Who connected and never said a word of TLS is let go of.
            silent.settimeout(PATIENCE_S)
            assert await asyncio.to_thread(silent.recv, 1) == b""


def test_who_is_not_trusted_is_told_why_in_one_line(tmp_path: Path) -> None:
    office = Office(tmp_path)
    stranger = tmp_path / "stranger.pem"
    trustme.CA().cert_pem.write_to_path(stranger)

    with Gateway(*office.flags, data=tmp_path / "data", dialects=("tsudoi",)) as gateway:
        server = at(gateway, office.trusted)
        where = f"{server.host}:{server.tcp}:{server.udp}"
        assert run("rooms", "--server", where, "--tls", "--tls-ca", str(office.trusted)) == (0, "", "")

        refused = f"client: the certificate of {where} is not accepted: "
        status, told, problem = run("rooms", "--server", where, "--tls", "--tls-ca", str(stranger))
        assert (status, told) == (1, "")
        assert problem.startswith(refused)
        assert problem.count("\n") == 1

        elsewhere = replace(server, host="localhost")
        with pytest.raises(tsudoi.ServerNotTrusted, match="'localhost'"):
            asyncio.run(tsudoi.rooms(server=elsewhere))

        clear = replace(server, tls=False, tls_ca=None)
        with pytest.raises(tsudoi.ClientError):
            asyncio.run(tsudoi.rooms(server=clear, dialect="tsudoi"))
        # Version 2 speaks TLS at every listener; without an authority it trusts a server at this machine.
        asyncio.run(tsudoi.rooms(server=clear))
        # An ordinary listener takes both kinds of client, and an authority that is named is asked there, too.
        listener = replace(server, tcp=gateway.listener("tsudoi").tcp[1])
        asyncio.run(tsudoi.rooms(server=listener))
        for is_tls in (True, False):
            with pytest.raises(tsudoi.ServerNotTrusted):
                asyncio.run(tsudoi.rooms(server=replace(listener, tls=is_tls, tls_ca=stranger)))


def test_workers_share_a_tls_listener(tmp_path: Path) -> None:
    office = Office(tmp_path)
    with Gateway(*office.flags, "--workers", "2", data=tmp_path / "data", dialects=()) as gateway:
        server = at(gateway, office.trusted)

        async def story() -> None:
            async with (
                await tsudoi.create("den", name="alice", server=server) as alice,
                await tsudoi.join("den", name="bob", server=server) as bob,
            ):
                await bob.say("hello")
                await hears(alice, "hello")

        asyncio.run(story())
        first = office.serial(server)
        office.renew()
        os.kill(gateway.pid, signal.SIGHUP)
        changed = "changed='certificate (SHA-256"
        assert gateway.stderr.wait_for(lambda _: gateway.stderr.text.count(changed) == 2, PATIENCE_S)
        assert office.serial(server) != first
