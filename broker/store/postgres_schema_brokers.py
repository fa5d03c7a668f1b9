"""The tables and functions for brokers that share the PostgreSQL engine: their leases, and the owners of the shards.

All times are the database's. A broker is *over* when its lease is; its row is deleted by another one that takes its
shards. The lock on that row decides between this and a late renewal: the second of them finds the row changed or gone.
"""

from typing import Final

from tsudoi.protocol.backbone import SHARDS

CHANNEL: Final = "tsudoi_brokers"
"""Brokers listen to it, and look at once when one came or left, or a shard was taken or given. They would find it
later without."""

BROKERS: Final = f"""
CREATE TABLE brokers (
    id text PRIMARY KEY,
    endpoint text NOT NULL,
    admin text NOT NULL,
    lease_until timestamptz NOT NULL,
    leaving boolean NOT NULL DEFAULT false,
    gateways boolean NOT NULL DEFAULT false,
    unreached boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN brokers.gateways IS 'A gateway is connected to it';
COMMENT ON COLUMN brokers.unreached IS 'None is, though other brokers have some: it shall have no shard';
COMMENT ON TABLE brokers IS 'The living, by registration: one that lost its lease comes back under another id';

CREATE TABLE shards (
    shard int PRIMARY KEY,
    term bigint NOT NULL DEFAULT 0,
    owner text NOT NULL DEFAULT ''
);
COMMENT ON COLUMN shards.term IS 'Which owner in turn; each commit names it, so that one of a former owner is refused';
COMMENT ON COLUMN shards.owner IS 'Of table brokers; the shard is free if that has no such row';
INSERT INTO shards (shard) SELECT generate_series(0, {SHARDS - 1});

CREATE FUNCTION remove_brokers_that_are_over() RETURNS void LANGUAGE sql AS $$
    DELETE FROM brokers WHERE id IN (SELECT id FROM brokers WHERE lease_until < now() ORDER BY id FOR UPDATE)
        AND lease_until < now();
$$;

-- Takes a lease under a new id, in place of this broker's former one. False: another broker lives, and this one may
-- only serve alone.
CREATE FUNCTION register_broker(
    _id text, _former text, _endpoint text, _admin text, _leaving boolean, _gateways boolean, _lease interval,
    _may_join boolean
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tsudoi brokers'));
    DELETE FROM brokers WHERE id = _former;
    PERFORM remove_brokers_that_are_over();
    IF NOT _may_join AND EXISTS (SELECT FROM brokers) THEN
        RETURN false;
    END IF;
    INSERT INTO brokers (id, endpoint, admin, lease_until, leaving, gateways, unreached)
        VALUES (_id, _endpoint, _admin, now() + _lease, _leaving, _gateways,
            NOT _gateways AND EXISTS (SELECT FROM brokers WHERE gateways));
    PERFORM pg_notify('{CHANNEL}', '');
    RETURN true;
END $$;

-- False: the lease was over already.
CREATE FUNCTION renew_lease(_me text, _lease interval) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE brokers SET lease_until = now() + _lease WHERE id = _me AND lease_until > now();
    RETURN FOUND;
END $$;

-- Takes those of the shards that are free, in a new term; returns what it took.
CREATE FUNCTION take_shards(_me text, _wanted int[]) RETURNS SETOF shards LANGUAGE plpgsql AS $$
BEGIN
    PERFORM remove_brokers_that_are_over();
    IF NOT EXISTS (SELECT FROM brokers WHERE id = _me) THEN
        RAISE EXCEPTION 'the lease is over';
    END IF;
    -- This waits for the last commit of a former owner.
    PERFORM 1 FROM shards WHERE shard = ANY (_wanted) ORDER BY shard FOR NO KEY UPDATE;
    RETURN QUERY UPDATE shards SET term = term + 1, owner = _me
        WHERE shard = ANY (_wanted) AND NOT EXISTS (SELECT FROM brokers WHERE id = owner)
        RETURNING shards.*;
    PERFORM pg_notify('{CHANNEL}', '');
END $$;

CREATE FUNCTION give_shards(_me text, _given int[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM shards WHERE shard = ANY (_given) AND owner = _me ORDER BY shard FOR NO KEY UPDATE;
    UPDATE shards SET owner = '' WHERE shard = ANY (_given) AND owner = _me;
    PERFORM pg_notify('{CHANNEL}', '');
END $$;

CREATE FUNCTION leave_brokers(_me text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE brokers SET leaving = true WHERE id = _me;
    PERFORM pg_notify('{CHANNEL}', '');
END $$;

CREATE FUNCTION note_reach(_me text, _gateways boolean, _unreached boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE brokers SET gateways = _gateways, unreached = _unreached WHERE id = _me;
    PERFORM pg_notify('{CHANNEL}', '');
END $$;

CREATE FUNCTION end_broker(_me text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM brokers WHERE id = _me;
    PERFORM pg_notify('{CHANNEL}', '');
END $$;

-- A row a shard, with its owner if that lives, and one for each broker without a shard.
CREATE VIEW shards_and_brokers AS
    SELECT shard, term, id, endpoint, admin, leaving, gateways, unreached,
        extract(epoch FROM lease_until - now())::float8 AS lease_s
    FROM shards FULL JOIN (SELECT * FROM brokers WHERE lease_until > now()) living ON owner = id
    ORDER BY shard, id;
"""
