"""What PostgreSQL keeps, and does in one transaction: the tables and functions of a schema of hendrix's own.

Tables that are unlogged are empty after a crash, and on a server that was a replica. `place` is one of them, so that whoever comes
next takes another epoch. Queues, the outbox, and the numbers of publications survive.

Whatever gives or asks for a place locks the row of `place` first. What is read under that lock is all that has been committed; and as
PostgreSQL notifies in the order of commits, the notification of the same transaction comes at that place.

Notifications come on two channels: that of the schema's name for all, with a colon and the name of a node for that one. Their first
letter says what they are::

    m  messages, between record separators          f  a fence, by its number
    b  a row of `big`, and the topic of its message  t  what a node is told
    w  the queue that has something                  B  a row of `big` with that
    o  the outbox has something
"""

from __future__ import annotations

from hendrix.hey_joe.brokers import postgres_messages, postgres_nodes
from hendrix.hey_joe.brokers.engine import ALIVE, ATTEMPTS, IDLE, MESSAGES, TOPICS
from hendrix.hey_joe.brokers.envelope import MESSAGE, VERSION as ENVELOPE, WORK

# Of all below; one that changes it makes the old ones new.
VERSION = 1

# Bytes that a notification carries.
NOTIFICATION = 7999

# Seconds that a large message is kept for those who have been notified of it, and those between two times of cleaning.
LARGE, CLEANING = 60.0, 10.0

# Seconds that the numbers of a node are known.
NUMBERS = 86_400.0

# The largest payload that `publish` takes, in bytes: hey_joe.publish has the same limit.
PAYLOAD = 1 << 20

# Rows that go at once, at most.
SEVERAL = 500

TABLES = """
CREATE TABLE about (version int NOT NULL);
CREATE TYPE publication AS (number bigint, kind text, topic text, keep int, age float8, durable boolean, body text);

-- Where we are: one row. Topics of which nothing is known were last heard of at `forgotten` or before.
CREATE UNLOGGED TABLE place (
    one boolean PRIMARY KEY DEFAULT true CHECK (one), epoch text NOT NULL, at bigint NOT NULL, forgotten bigint NOT NULL,
    cleaned float8 NOT NULL
) WITH (fillfactor = 10);
CREATE TABLE origins (origin text PRIMARY KEY, number bigint NOT NULL, seen float8 NOT NULL) WITH (fillfactor = 50);
-- Where each topic is.
CREATE UNLOGGED TABLE topics (topic text COLLATE "C" PRIMARY KEY, at bigint NOT NULL) WITH (fillfactor = 50);
-- Histories; `before` is the place of the message before it in its topic, `keep` how many are kept, `till` until when.
CREATE UNLOGGED TABLE kept (
    topic text COLLATE "C" NOT NULL, at bigint NOT NULL, before bigint NOT NULL, keep int NOT NULL, till float8 NOT NULL,
    body text NOT NULL, PRIMARY KEY (topic, at)
);
CREATE INDEX ON kept (till);
-- What no notification can carry.
CREATE UNLOGGED TABLE big (id bigserial PRIMARY KEY, till float8 NOT NULL, body text NOT NULL);

CREATE TABLE nodes (node text PRIMARY KEY, seen float8 NOT NULL) WITH (fillfactor = 50);
-- Who is there by what each node has told, and of all of them; `*` counts all of a topic.
CREATE UNLOGGED TABLE told (node text, topic text COLLATE "C", who text, count bigint NOT NULL, PRIMARY KEY (node, topic, who));
CREATE UNLOGGED TABLE there (topic text COLLATE "C", who text, count bigint NOT NULL, PRIMARY KEY (topic, who));

CREATE TABLE queue (
    id bigserial PRIMARY KEY, queue text COLLATE "C" NOT NULL, expires float8 NOT NULL, durable boolean NOT NULL,
    attempt int NOT NULL DEFAULT 0, node text, body text NOT NULL
);
CREATE INDEX ON queue (queue, id) WHERE node IS NULL;
CREATE INDEX ON queue (node) WHERE node IS NOT NULL;
-- Queues that get the messages of topics, and since when nobody serves them.
CREATE TABLE feeds (queue text COLLATE "C" PRIMARY KEY, pattern text NOT NULL, idle float8);
CREATE TABLE serves (node text, queue text COLLATE "C", PRIMARY KEY (node, queue));
-- What applications publish in their own transactions, until a node has given it its place.
CREATE TABLE outbox (id bigserial PRIMARY KEY, topic text NOT NULL, keep int NOT NULL, age float8 NOT NULL, body text NOT NULL);
INSERT INTO about VALUES (@VERSION@);
"""

_VALUES = {
    "ALIVE": ALIVE, "ATTEMPTS": ATTEMPTS, "CLEANING": CLEANING, "ENVELOPE": ENVELOPE, "IDLE": IDLE, "LARGE": LARGE, "MESSAGE": MESSAGE,
    "MESSAGES": MESSAGES, "NOTIFICATION": NOTIFICATION, "NUMBERS": NUMBERS, "PAYLOAD": PAYLOAD, "SEVERAL": SEVERAL, "TOPICS": TOPICS,
    "VERSION": VERSION, "WORK": WORK,
}  # fmt: skip


def installing(schema: str) -> str:
    """What makes the schema where there is none, when nobody else does that.

    :param schema: its name, quoted.
    """
    text = TABLES + postgres_messages.FUNCTIONS + postgres_nodes.FUNCTIONS
    for name, value in {**_VALUES, "SCHEMA": schema}.items():
        text = text.replace(f"@{name}@", str(value))
    literal = "'" + schema.strip('"') + "'"
    return f"""
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('hendrix'), hashtext({literal}));
DO $install$
BEGIN
    IF to_regnamespace({literal}) IS NULL THEN CREATE SCHEMA {schema}; END IF;
    IF to_regclass('{schema}.about') IS NULL THEN
        EXECUTE $hendrix${text}$hendrix$;
    END IF;
END $install$;
COMMIT;
"""


def expression(pattern: str) -> str:
    """A pattern of topics as a regular expression of PostgreSQL."""
    levels = []
    for number, level in enumerate(pattern.split(".")):
        if level == "**":
            levels.append(".+" if number else "[^$].*")
        elif level == "*":
            levels.append("[^.]+" if number else "[^.$][^.]*")
        else:
            levels.append("".join(letter if letter.isalnum() or ord(letter) > 127 else f"\\{letter}" for letter in level))
    return "^" + "\\.".join(levels) + "$"
