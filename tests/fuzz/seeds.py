"""Where fuzzing begins: the vectors, and one well-made frame of each kind."""

import json
from collections.abc import Iterable
from itertools import product
from typing import Any

import jwt
from msgspec import structs

from tests.broker.scripted import a_create, a_join
from tests.fuzz.pieces import written
from tests.fuzz.targets import NOW, SECRET
from tests.support.fakes import a_grant, entry, said, token_of
from tests.tsudoi.protocol.vectors import data, files, frames
from tsudoi.protocol import backbone
from tsudoi.protocol.backbone import Wire, admin_frames
from tsudoi.protocol.client.dialects import DIALECTS
from tsudoi.protocol.codes import EntryKind, LeaveReason

_numbers = {name: bytes((number,)) for number, name in enumerate(DIALECTS)}


def _vectors(*kinds: str) -> list[tuple[str, Any]]:
    """(dialect, vector) of these kinds."""
    return [
        (content.get("dialect", vector.get("dialect", "classic")), vector)
        for content in files().values()
        for vector in content["vectors"]
        if vector["kind"] in kinds
    ]


def _kinds() -> set[str]:
    return {vector["kind"] for content in files().values() for vector in content["vectors"]}


def _bytes(vector: Any) -> list[bytes]:
    return frames(vector) if isinstance(vector["hex"], list) else [data(vector)]


HASH = b"0123456789abcdef"
ENTRIES = [said(2, 1, "hello"), *(entry(3 + kind, kind, 2, int(LeaveReason.LEFT)) for kind in EntryKind)]
NEWS = backbone.News(1, len(ENTRIES) + 1, ENTRIES)
QUESTIONS: list[backbone.Question] = [
    a_create("other"),
    structs.replace(a_create("locked", token=3), password="secret"),
    a_join("locked", token=4),
    a_join(token=5),
    backbone.Resume(HASH),
    backbone.Resume(HASH, "192.0.2.1", 0, True, 7),
    backbone.ListRooms(5),
    backbone.Replay(1, 1, 0, 10),
    backbone.Reconcile([1]),
    backbone.Positions([(1, 1, 5, 0), (2, 1, 2**40, 3)]),
    backbone.Who(1, 0, 5),
    backbone.Browse(0, 5),
    backbone.GetTime(),
    backbone.HashPassword(1, 1, "secret"),
    backbone.Post("den", "ci", "build 7 failed", HASH, None, "192.0.2.1"),
    backbone.Say(1, 1, "hello", False, 7),
]
COMMANDS = [
    "/help",
    "/who 2",
    '/msg "a b" hello',
    "/r x",
    "/me waves",
    "/nick bob",
    "/history 5",
    "/topic -",
    "/topic x",
    "/kick bob why",
    "/ban bob 5",
    "/unban bob",
    "/mute bob 5",
    "/unmute bob",
    "/password secret",
    "/host bob",
    "/time",
    "/rooms",
    "/leave",
    "/close",
    "/unknown",
]
UPWARD: list[backbone.Upward] = [
    backbone.Hello(backbone.VERSION),
    backbone.Publish(1, [backbone.Item(kind, 1, 1, "127.0.0.1 5000", 0) for kind in EntryKind]),
    *(backbone.Publish(1, [backbone.Item(EntryKind.COMMANDED, 1, 1, line, 0)]) for line in COMMANDS),
    *(backbone.Request(number, body) for number, body in enumerate(QUESTIONS, 50)),
    backbone.Canary(7),
    backbone.Delivered([(1, 1, 2)]),
    backbone.Bye(),
    backbone.Measured(1_000, 5, 1, [0, 2, 1], [4], 0),
]
ANSWERS: list[backbone.Answer] = [
    a_grant(9),
    backbone.Refused(4, "why"),
    backbone.Rooms(["den"]),
    backbone.Replayed(1, 1, 2, 3, [said(2, 1, "hello"), said(3, 2, "you")]),
    backbone.Reconciled([2], [], [2]),
    backbone.Done(),
    backbone.Posted("ci[bot]", 1, 3, True),
]
DOWNWARD: list[backbone.Downward] = [
    backbone.Welcome("broker-1", 0, True, 0),
    backbone.Accepted(1),
    *(backbone.Reply(number, body) for number, body in product((1, 4), ANSWERS)),
    backbone.Unknown("broker-2"),
    backbone.Release(1, 1, "handover", True),
    backbone.Adopt([backbone.Adoption(a_grant(12), HASH)]),
]
ORDERS: list[admin_frames.Question] = [
    admin_frames.ListRooms(),
    admin_frames.ListMembers(room="den"),
    admin_frames.ListGateways(),
    admin_frames.Count(),
    admin_frames.ListBans(),
    admin_frames.Announce("hello", ""),
    admin_frames.Persist("hall", "", "topic"),
    admin_frames.Unpersist("hall"),
    admin_frames.RemoveMember("den", "alice", "why"),
    admin_frames.Ban("bob", "", 5, "why"),
    admin_frames.Ban("", "192.0.2.1", 0, ""),
    admin_frames.Unban("bob"),
    admin_frames.CloseRoom("den"),
    admin_frames.FindRooms("d", 5),
    admin_frames.Watch(1_000),
]


def _coded(messages: Iterable[Wire]) -> list[bytes]:
    return [backbone.encode(message) for message in messages]


def _whole(dialect: str, vector: Any) -> list[bytes]:
    return [_numbers.get(dialect, b"\0") + b"\0" + written(*((3, part) for part in _bytes(vector)))]


def _tokens() -> list[bytes]:
    claims = {"name": "alice", "exp": NOW + 60, "rooms": ["de*"], "create": True, "moderator": True, "aud": "tsudoi"}
    return [
        b"alice\nsecret",
        jwt.encode({"exp": NOW + 60}, SECRET, algorithm="HS256").encode(),
        b"alice\n" + jwt.encode(claims, b"x" * 32, algorithm="HS256", headers={"kid": "k"}).encode() + b" secret",
    ]


PEM = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA" + b"A" * 43 + b"=\n-----END PUBLIC KEY-----\n"
CLAIMS = b'{"exp": 1900000000, "nbf": 0, "aud": ["tsudoi"], "name": "alice", "rooms": ["d*n"], "create": true}'


def seeds(target: str) -> list[bytes]:
    """Return where to begin with a target; the more of its branches they reach, the better."""
    everything = [(dialect, vector) for dialect, vector in _vectors(*_kinds()) if "hex" in vector]
    datagrams = [part for _, vector in everything for part in _bytes(vector)]
    upward, downward = _coded(UPWARD), _coded(DOWNWARD)
    match target:
        case "header":
            return [part[:32] for part in datagrams]
        case "body":
            return [bytes((flag,)) + data(v) for (_, v), flag in product(_vectors("request"), (0, 255))]
        case "request":
            return [_numbers.get(dialect, b"\0") + data(v) for dialect, v in _vectors("request")]
        case "down":
            hostile = (
                b'{"notice":"history","text":"x","messages":[{"n":1,"from":"a","said":"b","at":9007199254740992}]}',
                b'{"notice":"bans","text":"x","bans":[{"name":"a","address":"","muted":true,"until":-1}]}',
                b'{"notice":"who","text":"\\u001b[2J","a":' + b"[" * 600 + b"]" * 600 + b"}",
            )
            everything += [("tsudoi", {"hex": part.hex()}) for part in hostile]
            return [_numbers.get(d, b"\0") + b"\0" + part for d, v in everything for part in _bytes(v)]
        case "datagram":
            return [*datagrams, b'{"message": "hello", "sender": "alice"}']
        case "answer" | "rooms" | "join_list":
            whole = [piece for dialect, vector in everything for piece in _whole(dialect, vector)]
            start = 0 if target == "answer" else 2
            lists = [written((0, b"['den', \"o'clock\", '\\u1234']")), written((0, b"ERROR: Bad request")), b"['\\n']"]
            return [piece[start:] for piece in whole] + lists
        case "sealed":
            packed = [part for kind in ("body", "parts", "retry") for _, v in _vectors(kind) for part in _bytes(v)]
            bodies = [vector["body"].encode() for _, vector in _vectors("body")]
            down = [vector["body"].encode() for _, vector in _vectors("body") if vector["direction"] == "down"]
            grants = [frames(vector)[1][32:] for _, vector in _vectors("sealed granted")]
            resumed = b'{"resumed":{"to":1,"epoch":1,"offset":41,"said":0,"name":"a","state":"complete"}}'
            return [
                *(b"\0" + packet for packet in packed),
                *(bytes((kind,)) + body for kind in (1, 2) for body in bodies),
                b"\3" + written((1, b"\0\2one"), (2, b"\1\2two")),
                *(b"\4" + grant for grant in grants),
                *(b"\6" + b"".join(frames(vector)) for _, vector in _vectors("sealed granted")),
                b"\5" + written((2, bytes(16)), (0x40, resumed), *((0x40, body) for body in down), (3, bytes(16))),
            ]
        case "sealed_over_tcp":
            return [bytes((cut,)) + data(vector) for _, vector in _vectors("over tcp") for cut in (0, 1, 50, 255)]
        case "sealed_gateway":
            up = [vector["body"].encode() for _, vector in _vectors("body") if vector["direction"] == "up"]
            told = [*up, b'{"want":[0,1]}', b'{"say":"/who","number":2}', b'{"say":"x","number":4,"after":2}']
            part = (0x10, b"\0\2" + up[1][:9]), (0x10, b"\1\2" + up[1][9:])
            news = backbone.encode(NEWS)
            return [
                written(*((0, line) for line in told), (7, b""), (6, news), *((8, line) for line in told), (255, b"")),
                written(*part, (4, bytes(40)), (5, bytes(60)), (0, b'{"leave":true}')),
            ]
        case "command":
            return [line.encode() for line in COMMANDS]
        case "web_commands":
            lines = [vector["text"].encode() for _, vector in _vectors("command") if "text" in vector]
            rooms = b'{"id":6,"rpc":{"method":"rooms","data":{"page":2}}}'
            return [b"\0" + line for line in [*lines, rooms, b"{}", b"\n".join([*lines, rooms])]]
        case "web":
            lines = [vector["text"].encode() for _, vector in _vectors("command") if "text" in vector]
            return [written(*((number, line) for number, line in enumerate(lines))), written((1, lines[0]))]
        case "upward":
            return [*upward, *backbone.pack_frames(upward)]
        case "downward":
            return [*downward, *backbone.pack_frames(downward)]
        case "published":
            body = backbone.encode(NEWS)
            return [body, backbone.encode_bundle("broker", 1, [7], [(1, body)])]
        case "page_questions":
            return [
                b"{}",
                b'{"ask": "rooms", "text": "den", "limit": 5}',
                b'{"ask": "ban", "name": "bob", "minutes": 5, "reason": "why"}',
                b'{"ask": "persist", "room": "\\u90e8\xe5\xb1\x8b", "topic": null}',
                b'{"ask": "close", "room": "\\ud800"}',
            ]
        case "orders" | "office":
            asks = [admin_frames.encode(admin_frames.Ask(admin_frames.VERSION, order)) for order in ORDERS]
            if target == "office":
                return [written((1, ask)) for ask in asks] + [written(*((1, ask) for ask in asks))]
            told = [
                admin_frames.AdminRefused("why"),
                admin_frames.Done(1),
                admin_frames.Rooms([], False),
                admin_frames.Bans([]),
            ]
            return asks + [admin_frames.encode(answer) for answer in told]
        case "token" | "signature":
            return _tokens()
        case "claims":
            return [b"\0" + CLAIMS, b"\1" + CLAIMS, b'\1{"exp": 1}']
        case "keys_file":
            jwk = {"kty": "oct", "alg": "HS512", "k": "A" * 90, "kid": "k"}
            okp = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}
            return [SECRET, PEM, json.dumps(jwk).encode(), json.dumps({"keys": [jwk, okp]}).encode()]
        case "settings":
            return [b'[gateway]\nrate = 500\ntcp = ["0.0.0.0:9001"]\n[broker]\nlog-entries = 50_000\n', b"rate = 1\n"]
        case "conversation":
            return _conversations()
        case "webhook":
            return _webhooks()
        case "gateway":
            body = backbone.encode(NEWS)
            bundle = backbone.encode_bundle("broker", 1, [7], [(1, body)])
            chat = bytes((7, 32)) + "部屋1".encode() + token_of(1) + b"hello"
            adopted = written((0, downward[-1]), (2, body), (7 + 80, b""))
            some = [written((2, body)), written((3, bundle)), written((13, chat)), written((14, b"hello")), adopted]
            return [*(written((0, frame)) for frame in downward), *some]
        case "broker":
            together = written(*((0, frame) for frame in upward), (7 + 80, b""), (6, backbone.room_topic(1)))
            return [*(written((0, frame)) for frame in upward), together]
        case "routes":
            of_shards = [backbone.for_shard(number % 5, frame) for number, frame in enumerate(downward)]
            cluster = backbone.encode(backbone.Cluster(["tcp://a:1", "tcp://b:1"], 2, [(5, 1), (5, 2), (1, 0), (9, 1)]))
            return [written((0, cluster), *((number, frame) for number, frame in enumerate(of_shards)))] + [
                written((number, frame)) for number, frame in enumerate([*backbone.pack_frames(of_shards), *downward])
            ]
        case "incoming":
            of_shards = [backbone.for_shard(number % 5, frame) for number, frame in enumerate(upward)]
            hello = backbone.for_shard(0, upward[0])
            return [written((0, hello), *((0, frame) for frame in of_shards))] + [
                written((1, frame)) for frame in [*backbone.pack_frames(of_shards), *upward, b"S", b"S\0"]
            ]
    raise AssertionError(f"there is no target {target}")


def _webhooks() -> list[bytes]:
    """Requests of each kind, with each answer of the broker, whole, in pieces and one after the other."""
    head = b"POST /rooms/den/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer eyJ.e.x\r\n"
    json_head = head + b"Content-Type: application/json; charset=utf-8\r\n"
    named = b'{"text":"hi","name":"ci","password":"moon"}'
    sized = json_head + b"Idempotency-Key: 7\r\nContent-Length: %d\r\n\r\n" % len(named) + named
    chunked = json_head + b"Transfer-Encoding: chunked\r\n\r\n2b\r\n" + named + b"\r\n0\r\n\r\n"
    plain = head + b"Content-Type: text/plain\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi"
    requests = [
        sized,
        chunked,
        plain,
        b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /rooms/%ff/messages?x HTTP/1.0\r\n\r\n",
    ]
    return [
        *(written((0, request)) for request in requests),
        *(written((answer, sized)) for answer in range(1, 9)),
        written(*((0, sized[at : at + 40]) for at in range(0, len(sized), 40))),
        written((0, b"".join(requests)), (0, b"")),
        written((128, sized[:60])),
        written((0, b"nonsense\r\n\r\n")),
    ]


def _conversations() -> list[bytes]:
    """Requests at the listener of any dialect, at the dialect's own, and in pieces; and a classic join."""
    requests = [(_numbers[d][0], data(v)) for d, v in _vectors("request") if d in _numbers]
    whole = [b"\0\0" + written((3, raw)) for _, raw in requests]
    own = [bytes((1 + number, 0)) + written((1, raw)) for number, raw in requests]
    slow = [b"\0\3" + written(*((1, raw[at : at + 9]) for at in range(0, len(raw), 9))) for _, raw in requests]
    return [*whole, *own, *slow, b"\1\0" + written((0, bytes((0, 2)) + bytes(29) + b"\3bob"), (0, b"den"))]
