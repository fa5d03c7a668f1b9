"""The tables and functions of the PostgreSQL engine, as the migrations that make them.

Migrations are appended, never changed. Every table has the number of a shard, the part of the rooms that one broker
owns at a time; there is one shard, 0. Text columns are for names and other texts, which have no control characters:
PostgreSQL keeps no NUL.
"""

from typing import Final

SCHEMA: Final = "tsudoi"
"""All is in a schema of this name, so that a database may be shared with other programs."""

_ROOMS: Final = """
CREATE TABLE shards (
    shard int PRIMARY KEY,
    term bigint NOT NULL DEFAULT 0,
    owner text NOT NULL DEFAULT '',
    lease_until timestamptz NOT NULL DEFAULT '-infinity'
);
COMMENT ON COLUMN shards.term IS 'Which owner in turn; each commit names it, so that one of a former owner is refused';
INSERT INTO shards (shard) VALUES (0);

-- The columns after `shard` are the fields of `RoomRow`, `MemberRow`, `Restriction`, `PostRow` and `Chunk`, in order.
CREATE TABLE rooms (
    shard int NOT NULL, id bigint NOT NULL, name text NOT NULL, epoch bigint NOT NULL, host bigint NOT NULL,
    password_hash text NOT NULL, created_ms bigint NOT NULL, closed_ms bigint NOT NULL, topic text NOT NULL,
    persistent boolean NOT NULL, epoch_after bigint NOT NULL,
    PRIMARY KEY (shard, id)
);
CREATE UNIQUE INDEX rooms_name ON rooms (name) WHERE closed_ms = 0;

CREATE TABLE members (
    shard int NOT NULL, id bigint NOT NULL, room bigint NOT NULL, name text NOT NULL, token_hash bytea NOT NULL,
    dialect text NOT NULL, ip text NOT NULL, address bytea NOT NULL, gateway text NOT NULL, idle_ms bigint NOT NULL,
    live boolean NOT NULL, delivered bigint NOT NULL, rights int NOT NULL, wished text NOT NULL, options int NOT NULL,
    muted_until_ms bigint NOT NULL, whispered_by bigint NOT NULL, said bigint NOT NULL,
    PRIMARY KEY (shard, id)
);
CREATE INDEX members_room ON members (shard, room);

CREATE TABLE restrictions (
    shard int NOT NULL, room bigint NOT NULL, kind int NOT NULL, name text NOT NULL, ip text NOT NULL,
    until_ms bigint NOT NULL, PRIMARY KEY (shard, room, kind, name, ip)
);
CREATE TABLE posts (
    shard int NOT NULL, key bytea NOT NULL, room bigint NOT NULL, epoch bigint NOT NULL, "offset" bigint NOT NULL,
    text_hash bytea NOT NULL, at_ms bigint NOT NULL, PRIMARY KEY (shard, key)
);
CREATE TABLE accepted (shard int NOT NULL, gateway text NOT NULL, number bigint NOT NULL, PRIMARY KEY (shard, gateway));
CREATE TABLE delivered (
    shard int NOT NULL, room bigint NOT NULL, gateway text NOT NULL, "offset" bigint NOT NULL,
    PRIMARY KEY (shard, room, gateway)
);

CREATE TABLE turns (shard int NOT NULL, number bigint GENERATED ALWAYS AS IDENTITY, body bytea NOT NULL,
    PRIMARY KEY (shard, number));
COMMENT ON TABLE turns IS 'What each turn brought, until it is folded into log, accepted and delivered';
CREATE TABLE log (
    shard int NOT NULL, room bigint NOT NULL, first bigint NOT NULL, last bigint NOT NULL, at_ms bigint NOT NULL,
    news bytea NOT NULL, PRIMARY KEY (shard, room, last)
);
CREATE INDEX log_age ON log (shard, at_ms);
"""

_COMMIT: Final = """
-- One turn: all of it, or false and nothing if another broker owns the shard now.
CREATE FUNCTION commit_turn(
    _shard int, _term bigint, _turn bytea,
    _rooms rooms[], _members members[], _gone bigint[], _restrictions restrictions[], _lifted restrictions[],
    _posts posts[], _unposted bytea[],
    _folded log[], _accepted accepted[], _delivered delivered[], _purged bigint[], _forgotten text[], _folds boolean
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    -- Locked and not updated: an update a turn leaves dead rows behind. The lock ends with this transaction, so a
    -- broker that stands still holds none.
    PERFORM 1 FROM shards WHERE shard = _shard AND term = _term FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF _folds THEN
        INSERT INTO log SELECT * FROM unnest(_folded);
        INSERT INTO accepted SELECT * FROM unnest(_accepted)
            ON CONFLICT (shard, gateway) DO UPDATE SET number = excluded.number;
        INSERT INTO delivered SELECT * FROM unnest(_delivered)
            ON CONFLICT (shard, room, gateway) DO UPDATE SET "offset" = excluded."offset";
        DELETE FROM turns WHERE shard = _shard;
    END IF;
    IF cardinality(_rooms) > 0 THEN
        INSERT INTO rooms SELECT * FROM unnest(_rooms) ON CONFLICT (shard, id) DO UPDATE SET
            (name, epoch, host, password_hash, created_ms, closed_ms, topic, persistent, epoch_after) =
            (excluded.name, excluded.epoch, excluded.host, excluded.password_hash, excluded.created_ms,
             excluded.closed_ms, excluded.topic, excluded.persistent, excluded.epoch_after);
    END IF;
    IF cardinality(_gone) > 0 THEN
        DELETE FROM members WHERE shard = _shard AND id = ANY (_gone);
    END IF;
    IF cardinality(_members) > 0 THEN
        DELETE FROM members WHERE shard = _shard AND id IN (SELECT id FROM unnest(_members));
        INSERT INTO members SELECT * FROM unnest(_members);
    END IF;
    IF cardinality(_lifted) > 0 THEN
        DELETE FROM restrictions r USING unnest(_lifted) l
            WHERE (r.shard, r.room, r.kind, r.name, r.ip) = (l.shard, l.room, l.kind, l.name, l.ip);
    END IF;
    IF cardinality(_restrictions) > 0 THEN
        INSERT INTO restrictions SELECT * FROM unnest(_restrictions)
            ON CONFLICT (shard, room, kind, name, ip) DO UPDATE SET until_ms = excluded.until_ms;
    END IF;
    IF cardinality(_unposted) > 0 THEN
        DELETE FROM posts WHERE shard = _shard AND key = ANY (_unposted);
    END IF;
    IF cardinality(_posts) > 0 THEN
        DELETE FROM posts WHERE shard = _shard AND key IN (SELECT key FROM unnest(_posts));
        INSERT INTO posts SELECT * FROM unnest(_posts);
    END IF;
    IF cardinality(_purged) > 0 THEN
        DELETE FROM log WHERE shard = _shard AND room = ANY (_purged);
        DELETE FROM members WHERE shard = _shard AND room = ANY (_purged);
        DELETE FROM delivered WHERE shard = _shard AND room = ANY (_purged);
        DELETE FROM restrictions WHERE shard = _shard AND room = ANY (_purged);
        DELETE FROM posts WHERE shard = _shard AND room = ANY (_purged);
        DELETE FROM rooms WHERE shard = _shard AND id = ANY (_purged);
    END IF;
    IF cardinality(_forgotten) > 0 THEN
        DELETE FROM accepted WHERE shard = _shard AND gateway = ANY (_forgotten);
        DELETE FROM delivered WHERE shard = _shard AND gateway = ANY (_forgotten);
    END IF;
    IF _turn IS NOT NULL THEN
        INSERT INTO turns (shard, body) VALUES (_shard, _turn);
    END IF;
    RETURN true;
END $$;
"""

_TRIM: Final = """
-- Drops chunks as `Store.trim` says, of rooms that grew and of rooms with chunks that became too old since the last
-- call; returns the logs' new beginnings.
CREATE FUNCTION trim_logs(_shard int, _term bigint, _grown bigint[], _keep bigint, _since_ms bigint, _before_ms bigint)
RETURNS TABLE (room bigint, first bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM 1 FROM shards WHERE shard = _shard AND term = _term FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another broker owns the rooms';
    END IF;
    RETURN QUERY
    WITH looked_at AS (
        SELECT unnest(_grown) AS room
        UNION
        SELECT room FROM log WHERE shard = _shard AND at_ms >= _since_ms AND at_ms < _before_ms
    ), kept AS (
        SELECT l.room, k.first, k.last FROM looked_at l
        CROSS JOIN LATERAL (SELECT last FROM log n WHERE n.shard = _shard AND n.room = l.room
            ORDER BY n.last DESC LIMIT 1) newest
        CROSS JOIN LATERAL (SELECT n.first, n.last FROM log n WHERE n.shard = _shard AND n.room = l.room
            AND n.last > newest.last - _keep AND (n.at_ms >= _before_ms OR n.last = newest.last)
            ORDER BY n.last LIMIT 1) k
    ), dropped AS (
        DELETE FROM log USING kept WHERE log.shard = _shard AND log.room = kept.room AND log.last < kept.last
        RETURNING log.room
    )
    SELECT kept.room, kept.first FROM kept WHERE kept.room IN (SELECT room FROM dropped);
END $$;
"""

MIGRATIONS: Final = (_ROOMS + _COMMIT + _TRIM,)
