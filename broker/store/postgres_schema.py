"""The tables and functions of the PostgreSQL engine, as the migrations that make them.

Migrations are appended, never changed. Every table has the number of a shard, the part of the rooms that one broker
owns at a time. Text columns are for names and other texts, which have no control characters: PostgreSQL keeps no NUL.
"""

from typing import Final

from .postgres_schema_brokers import BROKERS

SCHEMA: Final = "tsudoi"
"""All is in a schema of this name, so that a database may be shared with other programs."""

_ROOMS: Final = """
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
CREATE INDEX posts_room ON posts (shard, room);
CREATE TABLE accepted (shard int NOT NULL, gateway text NOT NULL, number bigint NOT NULL, PRIMARY KEY (shard, gateway));
CREATE TABLE delivered (
    shard int NOT NULL, room bigint NOT NULL, gateway text NOT NULL, "offset" bigint NOT NULL,
    PRIMARY KEY (shard, room, gateway)
);

CREATE TABLE turns (shard int NOT NULL, number bigint GENERATED ALWAYS AS IDENTITY, body bytea NOT NULL,
    PRIMARY KEY (shard, number));
COMMENT ON TABLE turns IS 'What each turn brought to a shard, until it is folded into log, accepted and delivered';
CREATE TABLE log (
    shard int NOT NULL, room bigint NOT NULL, first bigint NOT NULL, last bigint NOT NULL, at_ms bigint NOT NULL,
    news bytea NOT NULL, PRIMARY KEY (shard, room, last)
);
CREATE INDEX log_age ON log (shard, at_ms);

-- Keys of rows, as the functions below are given them.
CREATE TYPE held_shard AS (shard int, term bigint);
CREATE TYPE turn_row AS (shard int, body bytea);
CREATE TYPE row_id AS (shard int, id bigint);
CREATE TYPE post_key AS (shard int, key bytea);
CREATE TYPE gateway_key AS (shard int, gateway text);
"""

_COMMIT: Final = """
-- Locks the rows of shards until the transaction ends; returns whether all of them are still in these terms.
CREATE FUNCTION hold_shards(_held held_shard[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    _found int;
BEGIN
    -- Locked and not updated: an update a turn leaves dead rows behind. A broker that stands still holds no lock,
    -- because no transaction waits for it. In the order of their numbers, so that no two brokers wait for each other.
    PERFORM 1 FROM shards s JOIN unnest(_held) h ON s.shard = h.shard AND s.term = h.term
        ORDER BY s.shard FOR NO KEY UPDATE OF s;
    GET DIAGNOSTICS _found = ROW_COUNT;
    RETURN _found = cardinality(_held);
END $$;

-- One turn of any number of shards: all of it, or false and nothing if another broker owns one of the shards now.
CREATE FUNCTION commit_turns(
    _held held_shard[], _needs_standby boolean, _turns turn_row[],
    _rooms rooms[], _members members[], _gone row_id[], _restrictions restrictions[], _lifted restrictions[],
    _posts posts[], _unposted post_key[],
    _folds int[], _folded log[], _accepted accepted[], _delivered delivered[],
    _purged row_id[], _forgotten gateway_key[]
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT hold_shards(_held) THEN
        RETURN false;
    END IF;
    IF _needs_standby AND current_setting('synchronous_standby_names') = '' THEN
        RAISE EXCEPTION 'synchronous_standby_names is empty';
    END IF;
    IF cardinality(_folds) > 0 THEN
        INSERT INTO log SELECT * FROM unnest(_folded);
        INSERT INTO accepted SELECT * FROM unnest(_accepted)
            ON CONFLICT (shard, gateway) DO UPDATE SET number = excluded.number;
        INSERT INTO delivered SELECT * FROM unnest(_delivered)
            ON CONFLICT (shard, room, gateway) DO UPDATE SET "offset" = excluded."offset";
        DELETE FROM turns WHERE shard = ANY (_folds);
    END IF;
    IF cardinality(_rooms) > 0 THEN
        INSERT INTO rooms SELECT * FROM unnest(_rooms) ON CONFLICT (shard, id) DO UPDATE SET
            (name, epoch, host, password_hash, created_ms, closed_ms, topic, persistent, epoch_after) =
            (excluded.name, excluded.epoch, excluded.host, excluded.password_hash, excluded.created_ms,
             excluded.closed_ms, excluded.topic, excluded.persistent, excluded.epoch_after);
    END IF;
    IF cardinality(_gone) > 0 THEN
        DELETE FROM members m USING unnest(_gone) g WHERE m.shard = g.shard AND m.id = g.id;
    END IF;
    IF cardinality(_members) > 0 THEN
        DELETE FROM members m USING unnest(_members) n WHERE m.shard = n.shard AND m.id = n.id;
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
        DELETE FROM posts p USING unnest(_unposted) u WHERE p.shard = u.shard AND p.key = u.key;
    END IF;
    IF cardinality(_posts) > 0 THEN
        DELETE FROM posts p USING unnest(_posts) n WHERE p.shard = n.shard AND p.key = n.key;
        INSERT INTO posts SELECT * FROM unnest(_posts);
    END IF;
    IF cardinality(_purged) > 0 THEN
        DELETE FROM log t USING unnest(_purged) p WHERE t.shard = p.shard AND t.room = p.id;
        DELETE FROM members t USING unnest(_purged) p WHERE t.shard = p.shard AND t.room = p.id;
        DELETE FROM delivered t USING unnest(_purged) p WHERE t.shard = p.shard AND t.room = p.id;
        DELETE FROM restrictions t USING unnest(_purged) p WHERE t.shard = p.shard AND t.room = p.id;
        DELETE FROM posts t USING unnest(_purged) p WHERE t.shard = p.shard AND t.room = p.id;
        DELETE FROM rooms t USING unnest(_purged) p WHERE t.shard = p.shard AND t.id = p.id;
    END IF;
    IF cardinality(_forgotten) > 0 THEN
        DELETE FROM accepted t USING unnest(_forgotten) f WHERE t.shard = f.shard AND t.gateway = f.gateway;
        DELETE FROM delivered t USING unnest(_forgotten) f WHERE t.shard = f.shard AND t.gateway = f.gateway;
    END IF;
    INSERT INTO turns (shard, body) SELECT * FROM unnest(_turns);
    RETURN true;
END $$;
"""

_TRIM: Final = """
-- Drops chunks as `Store.trim` says, of rooms that grew and of rooms with chunks that became too old since the shard's
-- last call; returns the logs' new beginnings.
CREATE FUNCTION trim_logs(_held held_shard[], _since_ms bigint[], _grown row_id[], _keep bigint, _before_ms bigint)
RETURNS TABLE (room bigint, first bigint) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF NOT hold_shards(_held) THEN
        RAISE EXCEPTION 'another broker owns the rooms';
    END IF;
    RETURN QUERY
    WITH looked_at AS (
        SELECT shard, id AS room FROM unnest(_grown)
        UNION
        SELECT l.shard, l.room FROM ROWS FROM (unnest(_held), unnest(_since_ms)) AS h (shard, term, since_ms)
        JOIN log l ON l.shard = h.shard AND l.at_ms >= h.since_ms AND l.at_ms < _before_ms
    ), kept AS (
        SELECT l.shard, l.room, k.first, k.last FROM looked_at l
        CROSS JOIN LATERAL (SELECT last FROM log n WHERE n.shard = l.shard AND n.room = l.room
            ORDER BY n.last DESC LIMIT 1) newest
        CROSS JOIN LATERAL (SELECT n.first, n.last FROM log n WHERE n.shard = l.shard AND n.room = l.room
            AND n.last > newest.last - _keep AND (n.at_ms >= _before_ms OR n.last = newest.last)
            ORDER BY n.last LIMIT 1) k
    ), dropped AS (
        DELETE FROM log USING kept WHERE log.shard = kept.shard AND log.room = kept.room AND log.last < kept.last
        RETURNING log.shard, log.room
    )
    SELECT kept.room, kept.first FROM kept WHERE (kept.shard, kept.room) IN (SELECT shard, room FROM dropped);
END $$;
"""

MIGRATIONS: Final = (BROKERS + _ROOMS + _COMMIT + _TRIM,)
