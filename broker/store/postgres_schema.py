"""The tables and functions of the PostgreSQL engine, as the migrations that make them.

Migrations are appended, never changed. Every table has the number of a shard, the part of the rooms that one broker
owns at a time. Text columns are for names and other texts, which have no control characters: PostgreSQL keeps no NUL.
"""

from typing import Final

from .postgres_schema_brokers import BROKERS

SCHEMA: Final = "tsudoi"
"""All is in a schema of this name, so that a database may be shared with other programs."""

_ROOMS: Final = """
-- The columns after `shard` are the fields of `RoomRow`, `MemberRow`, `Restriction` and `PostRow`, in order.
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
-- By the room alone, whose id belongs to one shard: as long as the table is thought to be empty, an index that begins
-- with the shard looks as good as the primary key to the planner, which keeps such plans.
CREATE INDEX members_room ON members (room);

CREATE TABLE restrictions (
    shard int NOT NULL, room bigint NOT NULL, kind int NOT NULL, name text NOT NULL, ip text NOT NULL,
    until_ms bigint NOT NULL, PRIMARY KEY (shard, room, kind, name, ip)
);
CREATE TABLE posts (
    shard int NOT NULL, key bytea NOT NULL, room bigint NOT NULL, epoch bigint NOT NULL, "offset" bigint NOT NULL,
    text_hash bytea NOT NULL, at_ms bigint NOT NULL, PRIMARY KEY (shard, key)
);
CREATE INDEX posts_room ON posts (room);
CREATE TABLE accepted (shard int NOT NULL, gateway text NOT NULL, number bigint NOT NULL, PRIMARY KEY (shard, gateway));
CREATE TABLE delivered (
    shard int NOT NULL, room bigint NOT NULL, gateway text NOT NULL, "offset" bigint NOT NULL,
    PRIMARY KEY (shard, room, gateway)
);

CREATE TABLE turns (shard int NOT NULL, number bigint GENERATED ALWAYS AS IDENTITY, body bytea NOT NULL,
    PRIMARY KEY (shard, number));
COMMENT ON TABLE turns IS 'What each turn brought to a shard, until it is folded into log, accepted and delivered';
CREATE TABLE log (
    shard int NOT NULL, room bigint NOT NULL, first bigint NOT NULL, last bigint NOT NULL, since_ms bigint NOT NULL,
    at_ms bigint NOT NULL, firsts bigint[] NOT NULL, lasts bigint[] NOT NULL, times bigint[] NOT NULL,
    news bytea[] NOT NULL, PRIMARY KEY (shard, room, last)
);
COMMENT ON TABLE log IS 'A row has the chunks of a room that were folded together; news are compressed together, too';
COMMENT ON COLUMN log.since_ms IS 'Of the first chunk: older ones go first, so age is looked for by it alone';
COMMENT ON COLUMN log.at_ms IS 'The newest of all of its chunks';
CREATE INDEX log_age ON log (shard, since_ms);

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

-- Moves all turns of shards to the tables for which they were meant.
CREATE FUNCTION fold_turns(_folds int[], _folded log[], _accepted accepted[], _delivered delivered[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log SELECT * FROM unnest(_folded);
    INSERT INTO accepted SELECT * FROM unnest(_accepted)
        ON CONFLICT (shard, gateway) DO UPDATE SET number = excluded.number;
    INSERT INTO delivered SELECT * FROM unnest(_delivered)
        ON CONFLICT (shard, room, gateway) DO UPDATE SET "offset" = excluded."offset";
    DELETE FROM turns WHERE shard = ANY (_folds);
END $$;

-- The same between two turns. It says nothing new, so it need not be on the standby when the next turn begins.
CREATE FUNCTION fold_alone(
    _held held_shard[], _folds int[], _folded log[], _accepted accepted[], _delivered delivered[]
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'local', true);
    IF NOT hold_shards(_held) THEN
        RETURN false;
    END IF;
    PERFORM fold_turns(_folds, _folded, _accepted, _delivered);
    RETURN true;
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
        PERFORM fold_turns(_folds, _folded, _accepted, _delivered);
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
-- Drops chunks of a shard as `Store.trim` says, of rooms that grew and of rooms with chunks that became too old since
-- the last call; returns the logs' new beginnings. It looks for age at about `_rooms` rows and deletes about `_rows`.
-- Returned with `is_left` are the rooms that are left for the next call and, with no room, the time from which that is
-- to look for age.
CREATE FUNCTION trim_logs(
    _held held_shard, _since_ms bigint, _grown bigint[], _keep bigint, _before_ms bigint, _rooms int, _rows int
) RETURNS TABLE (room bigint, first bigint, is_left boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    _shard int = _held.shard;
    _until_ms bigint;
BEGIN
    -- What is trimmed need not be on the standby: the next owner would trim it again.
    PERFORM set_config('synchronous_commit', 'local', true);
    -- Turns are committed meanwhile, so the shard's row is not locked: what is too old for one owner is so for the
    -- next. And it does not wait for a turn that deletes the same rows, which might wait for it.
    PERFORM set_config('lock_timeout', '100ms', true);
    PERFORM 1 FROM shards WHERE shard = _shard AND term = _held.term;
    IF NOT FOUND THEN
        RETURN;  -- this broker has given the shard away since it chose to trim it
    END IF;
    SELECT max(since_ms) + 1 FROM (SELECT since_ms FROM log WHERE shard = _shard AND since_ms >= _since_ms
        AND since_ms < _before_ms ORDER BY since_ms LIMIT _rooms) aged HAVING count(*) = _rooms INTO _until_ms;
    _until_ms = coalesce(_until_ms, greatest(_since_ms, _before_ms));
    RETURN QUERY
    WITH looked_at AS (
        SELECT unnest(_grown) AS room
        UNION
        SELECT room FROM log WHERE shard = _shard AND since_ms >= _since_ms AND since_ms < _until_ms
    ), kept AS (  -- the row with the first chunk that stays, and where in it that stands
        SELECT l.room, k.last, k.firsts[k.at] AS first, k.at FROM looked_at l
        CROSS JOIN LATERAL (SELECT last FROM log n WHERE n.shard = _shard AND n.room = l.room
            ORDER BY n.last DESC LIMIT 1) newest
        CROSS JOIN LATERAL (
            SELECT n.last, n.firsts, coalesce(stays.at, cardinality(n.lasts)) AS at FROM log n
            CROSS JOIN LATERAL (SELECT min(c.at) AS at FROM unnest(n.lasts, n.times) WITH ORDINALITY c (last, time, at)
                WHERE c.last > newest.last - _keep AND c.time >= _before_ms) stays
            WHERE n.shard = _shard AND n.room = l.room AND n.last > newest.last - _keep
                AND (n.last = newest.last OR n.at_ms >= _before_ms AND stays.at IS NOT NULL)
            ORDER BY n.last LIMIT 1) k
    ), counted AS (
        SELECT kept.*, (SELECT count(*) FROM log d
            WHERE d.shard = _shard AND d.room = kept.room AND d.last < kept.last) AS rows FROM kept
    ), summed AS (
        SELECT *, sum(rows) OVER (ORDER BY room) - rows >= _rows AS is_left FROM counted
    ), dropped AS (
        DELETE FROM log USING summed s
        WHERE NOT s.is_left AND s.rows > 0 AND log.shard = _shard AND log.room = s.room AND log.last < s.last
    ), cut AS (
        UPDATE log SET first = s.first, since_ms = times[s.at], firsts = firsts[s.at:], lasts = lasts[s.at:],
            times = times[s.at:], news = news[s.at:]
        FROM summed s
        WHERE NOT s.is_left AND s.at > 1 AND log.shard = _shard AND log.room = s.room AND log.last = s.last
    )
    SELECT room, first, is_left FROM summed WHERE is_left OR rows > 0 OR at > 1
    UNION ALL SELECT NULL, _until_ms, true;
END $$;
"""

_TURNS_AS_THEY_ARE: Final = """
-- A turn is there until it is folded, for seconds. To compress it takes half of a large commit's time.
ALTER TABLE turns ALTER body SET STORAGE EXTERNAL;
"""

MIGRATIONS: Final = (BROKERS + _ROOMS + _COMMIT + _TRIM, _TURNS_AS_THEY_ARE)
