"""Functions of `postgres_sql` for nodes: who is there, the queues, signs of life."""

from __future__ import annotations

FUNCTIONS = """
-- So many connections more of a name; gives whether the first came or the last went, and how many of the topic there are.
CREATE FUNCTION change(by_node text, name text, someone text, delta bigint) RETURNS json LANGUAGE plpgsql AS $$
DECLARE of_name bigint; of_topic bigint;
BEGIN
    INSERT INTO told VALUES (by_node, name, someone, delta) ON CONFLICT (node, topic, who) DO UPDATE SET count = told.count + delta;
    DELETE FROM told WHERE node = by_node AND topic = name AND who = someone AND count <= 0;
    INSERT INTO there VALUES (name, someone, delta)
        ON CONFLICT (topic, who) DO UPDATE SET count = there.count + delta RETURNING count INTO of_name;
    INSERT INTO there VALUES (name, '*', delta)
        ON CONFLICT (topic, who) DO UPDATE SET count = there.count + delta RETURNING count INTO of_topic;
    IF of_name <= 0 THEN DELETE FROM there WHERE topic = name AND who = someone; END IF;
    IF of_topic <= 0 THEN DELETE FROM there WHERE topic = name; END IF;
    RETURN json_build_array(
        someone = '-' OR (delta > 0 AND of_name = delta) OR (delta < 0 AND of_name <= 0), greatest(of_topic, 0)
    );
END $$;

CREATE FUNCTION present(node text, changes json) RETURNS json LANGUAGE plpgsql AS $$
DECLARE each json; answers json[] := '{}';
BEGIN
    PERFORM locked();
    FOR each IN SELECT * FROM json_array_elements(changes) LOOP
        answers := answers || change(node, each ->> 0, each ->> 1, (each ->> 2)::bigint);
    END LOOP;
    RETURN array_to_json(answers);
END $$;

CREATE FUNCTION mine(by_node text) RETURNS json LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(json_agg(json_build_array(topic, who, count)), '[]') FROM told WHERE node = by_node
$$;

CREATE FUNCTION presence(name text) RETURNS json LANGUAGE sql VOLATILE AS $$
    SELECT json_build_array(coalesce(sum(count) FILTER (WHERE who = '*'), 0), coalesce(json_agg(who) FILTER (WHERE who LIKE '=%'), '[]'))
    FROM there WHERE topic = name
$$;

CREATE FUNCTION serve(by_node text, name text, expression text) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    PERFORM locked();
    INSERT INTO serves VALUES (by_node, name) ON CONFLICT DO NOTHING;
    IF expression <> '' THEN
        INSERT INTO feeds VALUES (name, expression, NULL) ON CONFLICT (queue) DO UPDATE SET pattern = expression, idle = NULL;
    END IF;
    RETURN 'null';
END $$;

CREATE FUNCTION rest(by_node text, name text) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    PERFORM locked();
    DELETE FROM serves WHERE node = by_node AND queue = name;
    UPDATE feeds SET idle = now_s() WHERE queue = name AND NOT EXISTS (SELECT FROM serves WHERE queue = name);
    RETURN 'null';
END $$;

-- What was at a node that is no more: gives who has left, and what is lost.
CREATE FUNCTION bury(dead text, INOUT left_ones json[], INOUT losses json[]) LANGUAGE plpgsql AS $$
DECLARE each record;
BEGIN
    DELETE FROM nodes WHERE node = dead;
    FOR each IN SELECT * FROM told WHERE node = dead LOOP
        left_ones := left_ones || json_build_array(each.topic, each.who, -each.count, change(dead, each.topic, each.who, -each.count));
    END LOOP;
    PERFORM rest(dead, s.queue) FROM (SELECT queue FROM serves WHERE node = dead) s;
    PERFORM pg_notify(current_schema(), 'w' || q.queue)
        FROM queue q WHERE q.node = dead AND q.durable AND q.attempt < @ATTEMPTS@ GROUP BY q.queue;
    UPDATE queue SET node = NULL WHERE node = dead AND durable AND attempt < @ATTEMPTS@;
    FOR each IN DELETE FROM queue WHERE node = dead RETURNING * LOOP
        losses := losses || json_build_array(each.queue, 'died', each.body);
    END LOOP;
END $$;

CREATE FUNCTION beat(by_node text, fence text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE alive boolean; left_ones json[] := '{}'; losses json[] := '{}'; each record; now float8; here place; more bigint;
BEGIN
    here := locked();
    now := now_s();
    PERFORM set_config('synchronous_commit', 'off', true);
    IF (SELECT max(seen) FROM nodes) < now - @ALIVE@ / 2 THEN
        UPDATE nodes SET seen = now;  -- nobody could say anything, so that nobody is dead for that
    END IF;
    alive := EXISTS (SELECT FROM nodes WHERE node = by_node);
    INSERT INTO nodes VALUES (by_node, now) ON CONFLICT (node) DO UPDATE SET seen = now;
    FOR each IN SELECT node FROM nodes WHERE seen < now - @ALIVE@ LOOP
        SELECT b.left_ones, b.losses INTO left_ones, losses FROM bury(each.node, left_ones, losses) b;
    END LOOP;
    DELETE FROM queue q USING feeds f WHERE f.queue = q.queue AND f.idle < now - @IDLE@;
    DELETE FROM feeds f WHERE f.idle < now - @IDLE@;
    FOR each IN
        DELETE FROM queue WHERE id IN (
            SELECT id FROM queue WHERE node IS NULL AND expires < now LIMIT @SEVERAL@ FOR UPDATE SKIP LOCKED
        ) RETURNING *
    LOOP
        losses := losses || json_build_array(each.queue, 'expired', each.body);
    END LOOP;
    IF here.cleaned < now - @CLEANING@ THEN
        DELETE FROM kept WHERE till < now;
        DELETE FROM big WHERE till < now;
        DELETE FROM origins o WHERE o.seen < now - @NUMBERS@ AND NOT EXISTS (SELECT FROM nodes n WHERE n.node = o.origin);
        SELECT count(*) - @TOPICS@ INTO more FROM topics;
        IF more > 0 THEN
            SELECT at INTO here.forgotten FROM topics ORDER BY at OFFSET more - 1 LIMIT 1;
            DELETE FROM topics WHERE at <= here.forgotten;
        END IF;
        UPDATE place SET cleaned = now, forgotten = here.forgotten;
    END IF;
    PERFORM pg_notify(current_schema() || ':' || by_node, 'f' || fence);
    RETURN json_build_array(alive, left_ones, losses);
END $$;

CREATE FUNCTION leave(by_node text) RETURNS json LANGUAGE plpgsql AS $$
DECLARE left_ones json[] := '{}'; losses json[] := '{}';
BEGIN
    PERFORM locked();
    SELECT b.left_ones, b.losses INTO left_ones, losses FROM bury(by_node, left_ones, losses) b;
    RETURN json_build_array(true, left_ones, losses);
END $$;

-- Queues with how many; gives messages with their queue, ticket and attempt, and those that have expired.
CREATE FUNCTION take(by_node text, wanted json) RETURNS json LANGUAGE plpgsql AS $$
DECLARE name text; count int; each record; taken json[] := '{}'; losses json[] := '{}'; found boolean;
BEGIN
    FOR name, count IN SELECT key, value::int FROM json_each_text(wanted) LOOP
        LOOP
            found := false;
            FOR each IN SELECT * FROM queue q WHERE q.queue = name AND q.node IS NULL ORDER BY id LIMIT count FOR UPDATE SKIP LOCKED LOOP
                found := true;
                IF each.expires < now_s() THEN
                    losses := losses || json_build_array(name, 'expired', each.body);
                    DELETE FROM queue WHERE id = each.id;
                ELSE
                    taken := taken || json_build_array(name, each.id::text, each.attempt + 1, each.body);
                    UPDATE queue SET node = by_node, attempt = each.attempt + 1 WHERE id = each.id;
                    count := count - 1;
                END IF;
            END LOOP;
            EXIT WHEN count <= 0 OR NOT found;
        END LOOP;
    END LOOP;
    RETURN json_build_array(taken, losses);
END $$;

-- Tickets of what is over, and of what is given back.
CREATE FUNCTION settle(over bigint[], back bigint[]) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM queue WHERE id = ANY (over);
    PERFORM pg_notify(current_schema(), 'w' || q.queue) FROM queue q WHERE q.id = ANY (back) GROUP BY q.queue;
    UPDATE queue SET node = NULL WHERE id = ANY (back);
    RETURN 'null';
END $$;
"""
