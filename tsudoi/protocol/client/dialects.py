"""List the known dialects, as data; CONTRIBUTING.md, "Adding a dialect", says how to add one.

A dialect's closing words (`closed`, `timed_out`, `removed`) are here, in one language each: clients act on them. All
other words of the server are in `phrases.py`.
"""

from dataclasses import replace

from tsudoi.protocol.client.dialect import Dialect, DownForm, DownStyle, PortPlace, Reply, RequestForm
from tsudoi.protocol.codes import State, Status
from tsudoi.protocol.names import TOKEN_SIZE

_RESPONSE = State.RESPONSE
SESSION_KEYS = ("session", "suite", "up", "down", "check", "name", "member", "epoch", "offset", "history", "commands")
"""What the handshake of version 2 tells: `up`, `down`, `check` in sealed suites only, `history` where there is any,
`commands` where there are none."""

CLASSIC = Dialect(
    name="classic",
    summary="the seed's client: bare token, room list on join, receives its own messages",
    join_lists_rooms=True,
    created=(Reply("{token}", state=None),),
    refused=(Reply("ERROR: {reason}", state=None),),
    echo=True,
    # Its own server sends no notices about others.
    notices=False,
)

TCRP = Dialect(
    name="tcrp",
    summary="the exercise by the text: a status byte, then the token",
)

TCRP_NAMED = Dialect(
    name="tcrp-named",
    summary="as tcrp; messages come as name size, name, text",
    down=DownStyle(DownForm.NAMED),
)

TCRP_ROOM = Dialect(
    name="tcrp-room",
    summary="JSON with user_name and password; replies repeat the room",
    request=RequestForm.JSON_OBJECT,
    user_key="user_name",
    password_key="password",
    created=(Reply(state=_RESPONSE, status_byte=True, room=True), Reply("{token}", room=True)),
    refused=(Reply(state=_RESPONSE, status_byte=True, room=True),),
)

TCRP_JSON = Dialect(
    name="tcrp-json",
    summary="JSON with username and password; announces its UDP port when it has the token",
    request=RequestForm.JSON_OBJECT,
    user_key="username",
    password_key="password",
    bare_name=True,
    port=PortPlace.AFTER_TOKEN,
    created=(Reply(state=_RESPONSE, status_byte=True, room=True), Reply("{token}", room=True)),
    refused=(Reply(state=_RESPONSE, status_byte=True, room=True),),
    leave_words=frozenset({"/exit"}),
    closed=("チャットルームが閉じられました",),
    timed_out="しばらく発言しなかったので、チャットルームから退出させました",
    removed=("チャットルームが閉じられました",),
)

TCRP_200 = Dialect(
    name="tcrp-200",
    summary="text 200, then the token, one recv a frame; may try again after a refusal",
    created=(Reply("200", state=_RESPONSE, room=True), Reply("{token}", room=True)),
    refused=(Reply("200", state=_RESPONSE, room=True), Reply("error:{reason}", room=True)),
    pause_s=0.3,
    stays_open=True,
    down=DownStyle(DownForm.RAW, " : ", ends_at=("exit:",)),
    leave_words=frozenset({"exit:"}),
    closed=("exit:ホストの{user}がルームを退出しました．",),
    timed_out="exit:Timeout!",
    removed=("exit:{reason}",),
)

TCRP_OK = Dialect(
    name="tcrp-ok",
    summary="asks for the room list first; user name and UDP port in one payload; text OK, then the token",
    port=PortPlace.PAYLOAD_END,
    lists_rooms=True,
    created=(Reply("OK", state=_RESPONSE, room=True), Reply("{token}", room=True)),
    refused=(Reply("{word}", state=_RESPONSE, room=True),),
    words={
        Status.ROOM_EXISTS: "ROOM_EXISTS",
        Status.ROOM_NOT_FOUND: "NO_ROOM",
        Status.WRONG_PASSWORD: "WRONG_PASSWORD",
        Status.BAD_REQUEST: "BAD_REQUEST",
        Status.BUSY: "BUSY",
    },
    down=DownStyle(DownForm.NAMED, ends_at=("ROOM_CLOSED", "DISCONNECTED", "SERVER_SHUTDOWN")),
    register_words=frozenset({"@join"}),
    leave_words=frozenset({"@quit"}),
    closed=("ROOM_CLOSED: ホストの{user}がルームを退出しました．",),
    timed_out="DISCONNECTED: Timeout!",
    removed=("DISCONNECTED: {reason}",),
    notices_raw=True,
)

TCRP_BARE_ACK = Dialect(
    name="tcrp-bare-ack",
    summary="a header without a body, then the token; a refusal is in the second header's state",
    port=PortPlace.TCP_SOURCE,
    created=(Reply(state=_RESPONSE, header_only=True), Reply("{token}", room=True)),
    refused=(Reply(state=_RESPONSE, header_only=True), Reply("{reason}", room=True)),
    refused_states={
        Status.ROOM_EXISTS: 3,
        Status.ROOM_NOT_FOUND: 4,
        Status.WRONG_PASSWORD: 5,
        Status.BAD_REQUEST: 5,
        Status.BUSY: 5,
    },
    down=DownStyle(DownForm.U1),
    echo=True,
    leave_words=frozenset({"exit"}),
)

TCRP_EMPTY_ACK = Dialect(
    name="tcrp-empty-ack",
    summary="a frame without room and payload, then the token",
    created=(Reply(state=_RESPONSE), Reply("{token}")),
    refused=(Reply("{reason}", state=State.REQUEST),),
)

TCRP_NO_TOKEN = Dialect(
    name="tcrp-no-token",
    summary="the status in words, then the token or `No token`, after which the client tries again",
    created=(Reply("{reason}", state=_RESPONSE), Reply("{token}")),
    refused=(Reply("{reason}", state=_RESPONSE), Reply("No token")),
    stays_open=True,
    down=DownStyle(DownForm.U1),
)

TCRP_RAW = Dialect(
    name="tcrp-raw",
    summary="replies without a header: a status byte; behind 0, the size of the token in one byte and the token",
    created=(Reply(f"\0{chr(TOKEN_SIZE)}{{token}}", state=None),),
    refused=(Reply(state=None, status_byte=True),),
    down=DownStyle(DownForm.U1),
    leave_words=frozenset({"/exit"}),
    closed=("HOST_DISCONNECTED",),
    # Its client knows no other notice, and compares the whole datagram.
    timed_out="HOST_DISCONNECTED",
    removed=("HOST_DISCONNECTED",),
    notices_raw=True,
)

TCRP_SUCCESS = Dialect(
    name="tcrp-success",
    summary="the name as a JSON string; answers are JSON objects",
    request=RequestForm.JSON_STRING,
    created=(Reply(json={"success": 1}, state=_RESPONSE), Reply(json={"token": "{token}"})),
    refused=(Reply(json={"success": 0}, state=_RESPONSE),),
    down=DownStyle(DownForm.NAMED),
    register_words=frozenset({"__REGISTER__"}),
    leave_words=frozenset({"__LEAVE__"}),
    closed=("__ROOM_CLOSED__",),
    # Its client knows no other notice: it would read any other text as a sender and a message.
    timed_out="__ROOM_CLOSED__",
    removed=("__ROOM_CLOSED__",),
    notices_raw=True,
)

TCRP_SINGLE = Dialect(
    name="tcrp-single",
    summary="JSON with user_name and user_address; one reply frame",
    request=RequestForm.JSON_OBJECT,
    user_key="user_name",
    port=PortPlace.KEY,
    port_key="user_address",
    created=(Reply(json={"status": 202, "message": "{reason}", "token": "{token}"}),),
    refused=(Reply(json={"status": 400, "message": "{reason}"}, state=State.REQUEST),),
    down=DownStyle(DownForm.RAW, ends_at=("ホストが退出したため、チャットルーム:",)),
    leave_words=frozenset({"exit"}),
    closed=("ホストが退出したため、チャットルーム:{room}を終了します。",),
    timed_out="{user}が{room}から退出しました。",
    removed=("ホストが退出したため、チャットルーム:{room}を終了します。",),
)

TCRP_TWO_SOCKETS = Dialect(
    name="tcrp-two-sockets",
    summary="JSON with user_name and udp_port; one reply frame; sends from one UDP socket, listens with another",
    request=RequestForm.JSON_OBJECT,
    user_key="user_name",
    port=PortPlace.KEY,
    port_key="udp_port",
    port_stays=True,
    created=(Reply(json={"status": "success", "token": "{token}", "user_name": "{user}"}, room=True),),
    refused=(Reply(json={"status": "error", "message": "{reason}"}, state=_RESPONSE, room=True),),
    down=DownStyle(DownForm.RAW, ends_at=("ホストが退出したため",)),
    leave_words=frozenset({"/quit"}),
    closed=("ホストが退出したため、ルームが閉じられました",),
    # Its client quits only at the words for a closed room, so the other closing words contain them.
    timed_out="「ホストが退出したため」ではなく、発言がなかったため、ルームから退出しました",
    removed=("ホストが退出したため、ルームが閉じられました",),
)

TCRP_202 = Dialect(
    name="tcrp-202",
    summary="JSON with username, ip, port and password; JSON messages both ways",
    request=RequestForm.JSON_OBJECT,
    user_key="username",
    password_key="password",
    port=PortPlace.KEY,
    port_key="port",
    created=(
        Reply(json={"status": 202, "message": "{reason}"}, state=_RESPONSE),
        Reply(json={"status": 201, "message": "{reason}", "token": "{token}"}),
    ),
    joined=(
        Reply(json={"status": 202, "message": "{reason}"}, state=_RESPONSE),
        Reply(json={"status": 200, "message": "{reason}", "token": "{token}"}),
    ),
    refused=(Reply(json={"status": "{code}", "message": "{reason}"}, state=_RESPONSE),),
    up_keys=("sender", "message"),
    down=DownStyle(DownForm.OBJECT, head=b"\0\0", message=(("sender", "{user}"), ("message", "{text}"))),
)

TCRP_TYPED = Dialect(
    name="tcrp-typed",
    summary="JSON with username and password; a status as JSON, then the bare token; messages are JSON with a type",
    request=RequestForm.JSON_OBJECT,
    user_key="username",
    password_key="password",
    created=(Reply(json={"status": "{code}", "message": "{reason}"}, state=_RESPONSE), Reply("{token}")),
    refused=(Reply(json={"status": "{code}", "message": "{reason}"}, state=_RESPONSE),),
    down=DownStyle(
        DownForm.OBJECT,
        message=(("type", "chat"), ("from", "{user}"), ("text", "{text}")),
        notice=(("type", "system"), ("text", "{text}")),
        closing=(("type", "disconnect"), ("text", "{text}")),
    ),
    leave_words=frozenset({"\0"}),
    closed=("ホストの{user}がルームを退出しました．",),
    removed=("{reason}",),
)

TSUDOI = Dialect(
    name="tsudoi",
    summary="our own clients: names and positions as JSON fields, nothing to guess from text",
    request=RequestForm.JSON_OBJECT,
    user_key="name",
    password_key="password",
    marker_key="tsudoi",
    lists_rooms=True,
    created=(
        Reply(json={"status": "{status}", "message": "{reason}"}, state=_RESPONSE),
        Reply(json={"token": "{token}", "name": "{user}"}),
    ),
    refused=(Reply(json={"status": "{status}", "message": "{reason}"}, state=_RESPONSE),),
    down=DownStyle(DownForm.NATIVE),
    leave_words=frozenset({"/leave"}),
    closed=("ホストの{user}がルームを退出しました．",),
    removed=("{reason}",),
)

TSUDOI_2 = replace(
    TSUDOI,
    name="tsudoi-2",
    summary="version 2 of the protocol: sealed packets, each message exactly once",
    created=(
        Reply(json={"status": "{status}", "message": "{reason}"}, state=_RESPONSE),
        Reply(json={key: f"{{{key}}}" for key in SESSION_KEYS}),
    ),
    down=DownStyle(DownForm.SEALED),
    echo=True,
)
"""No name of its own at a listener: `tsudoi` and `auto` take both versions."""

WEB = Dialect(
    name="web",
    summary="members by a WebSocket connection; no client of the handshake over TCP speaks it",
    down=DownStyle(DownForm.WEB),
    echo=True,
    leave_words=frozenset({"/leave"}),
)

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        CLASSIC,
        TCRP,
        TCRP_NAMED,
        TCRP_ROOM,
        TCRP_JSON,
        TCRP_200,
        TCRP_OK,
        TCRP_BARE_ACK,
        TCRP_EMPTY_ACK,
        TCRP_NO_TOKEN,
        TCRP_RAW,
        TCRP_SUCCESS,
        TCRP_SINGLE,
        TCRP_TWO_SOCKETS,
        TCRP_202,
        TCRP_TYPED,
        TSUDOI,
    )
}
"""Name → dialect of the handshake over TCP. `auto` is none: it means that `recognise.py` chooses one."""

OF_STREAMS = (TSUDOI_2, WEB)
"""Dialects of members that are not sent datagrams of version 1: their clients know their positions."""
_OF_STREAMS = {dialect.name: dialect for dialect in OF_STREAMS}


def member_dialect(name: str) -> Dialect:
    """Return the dialect of a member, by the name that the directory keeps; CLASSIC for one that is unknown here."""
    return _OF_STREAMS.get(name) or DIALECTS.get(name, CLASSIC)
