"""Functions of `postgres_sql` for messages: their places, histories, pasts, and the outbox."""

from __future__ import annotations

FUNCTIONS = """
CREATE FUNCTION now_s() RETURNS float8 LANGUAGE sql VOLATILE AS $$ SELECT extract(epoch FROM clock_timestamp())::float8 $$;

CREATE FUNCTION locked() RETURNS place LANGUAGE plpgsql AS $$
DECLARE here place;
BEGIN
    SELECT * INTO here FROM place FOR UPDATE;
    IF here IS NULL THEN RAISE 'what was in it is gone'; END IF;
    RETURN here;
END $$;

-- To one node, however long it is.
CREATE FUNCTION say(node text, message text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE number bigint;
BEGIN
    IF octet_length(message) < @NOTIFICATION@ THEN
        PERFORM pg_notify(current_schema() || ':' || node, 't' || message);
    ELSE
        INSERT INTO big (till, body) VALUES (now_s() + @LARGE@, message) RETURNING id INTO number;
        PERFORM pg_notify(current_schema() || ':' || node, 'B' || number);
    END IF;
END $$;

-- Give these their places, and tell of them. Gives the numbers of those that did not fit into their queue.
CREATE FUNCTION spread(here place, items publication[]) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    item publication; at bigint := here.at; prefix text := here.epoch || '-'; message text; pack text := '';
    channel text := current_schema(); number bigint;
    fed boolean := EXISTS (SELECT FROM feeds); targets text[]; target text; room int; rooms jsonb := '{}';
    full_ones bigint[] := '{}'; now float8 := now_s(); keeps boolean := false;
BEGIN
    FOREACH item IN ARRAY items LOOP
        at := at + 1;
        message := prefix || at || ' ' || item.body;
        targets := NULL;
        IF item.kind = '@WORK@' THEN
            targets := ARRAY[item.topic];
        ELSE
            keeps := keeps OR item.keep > 0;
            IF octet_length(message) + octet_length(pack) + 1 > @NOTIFICATION@ THEN
                IF pack <> '' THEN PERFORM pg_notify(channel, pack); END IF;
                pack := '';
            END IF;
            IF octet_length(message) < @NOTIFICATION@ THEN
                pack := CASE pack WHEN '' THEN 'm' ELSE pack || chr(30) END || message;
            ELSE
                INSERT INTO big (till, body) VALUES (now + @LARGE@, message) RETURNING id INTO number;
                PERFORM pg_notify(channel, 'b' || number || ' ' || item.topic);
            END IF;
            IF fed AND item.kind = '@MESSAGE@' THEN
                SELECT array_agg(queue) INTO targets FROM feeds WHERE item.topic ~ pattern;
            END IF;
        END IF;
        IF targets IS NOT NULL THEN
            FOREACH target IN ARRAY targets LOOP
                room := (rooms ->> target)::int;
                IF room IS NULL THEN
                    SELECT @MESSAGES@ - count(*) INTO room FROM (SELECT FROM queue q WHERE q.queue = target LIMIT @MESSAGES@) few;
                END IF;
                IF room > 0 THEN
                    INSERT INTO queue (queue, expires, durable, body) VALUES (
                        target, CASE item.kind WHEN '@WORK@' THEN item.age ELSE now + 3600 END,
                        item.durable AND item.kind = '@WORK@', message
                    );
                    room := room - 1;
                ELSIF item.kind = '@WORK@' THEN
                    full_ones := full_ones || item.number;
                END IF;
                rooms := rooms || jsonb_build_object(target, room);
            END LOOP;
        END IF;
    END LOOP;
    IF pack <> '' THEN PERFORM pg_notify(channel, pack); END IF;
    PERFORM pg_notify(channel, 'w' || key) FROM jsonb_object_keys(rooms) key;
    IF keeps THEN
        INSERT INTO kept
            SELECT topic, spot, before, keep, now + age, prefix || spot || ' ' || body FROM (
                SELECT i.*, here.at + i.n AS spot, coalesce(
                    lag(here.at + i.n) OVER (PARTITION BY i.topic ORDER BY i.n),
                    (SELECT t.at FROM topics t WHERE t.topic = i.topic), here.forgotten
                ) AS before
                FROM unnest(items) WITH ORDINALITY AS i (number, kind, topic, keep, age, durable, body, n) WHERE i.kind <> '@WORK@'
            ) placed WHERE keep > 0 AND kind = '@MESSAGE@';
        FOR target, room IN
            SELECT i.topic, (array_agg(i.keep ORDER BY i.number DESC))[1]
            FROM unnest(items) i WHERE i.kind = '@MESSAGE@' AND i.keep > 0 GROUP BY 1
        LOOP
            IF room <= 100 OR random() < 0.1 THEN
                DELETE FROM kept k WHERE k.topic = target
                    AND k.at <= (SELECT o.at FROM kept o WHERE o.topic = target ORDER BY o.at DESC OFFSET room LIMIT 1);
            END IF;
        END LOOP;
    END IF;
    INSERT INTO topics
        SELECT i.topic, here.at + max(i.n)
        FROM unnest(items) WITH ORDINALITY AS i (number, kind, topic, keep, age, durable, body, n) WHERE i.kind <> '@WORK@' GROUP BY 1
        ON CONFLICT (topic) DO UPDATE SET at = excluded.at;
    UPDATE place p SET at = here.at + cardinality(items);
    RETURN json_build_array(here.epoch, here.at + cardinality(items), full_ones);
END $$;

-- What applications have published in their own transactions, some of it.
CREATE FUNCTION empty_outbox() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE items publication[]; here place; ids bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM outbox) THEN RETURN false; END IF;
    here := locked();
    SELECT array_agg(id), array_agg((id, '@MESSAGE@', topic, keep, age, false, body)::publication ORDER BY id) INTO ids, items
        FROM (SELECT * FROM outbox ORDER BY id LIMIT @SEVERAL@) few;
    IF items IS NOT NULL THEN
        PERFORM spread(here, items);
        DELETE FROM outbox WHERE id = ANY (ids);
    END IF;
    RETURN EXISTS (SELECT FROM outbox);
END $$;

-- A token, the epoch and the place that the node knows.
CREATE FUNCTION open(token text, known_epoch text, known bigint) RETURNS json LANGUAGE plpgsql AS $$
DECLARE here place;
BEGIN
    INSERT INTO place (epoch, at, forgotten, cleaned) VALUES (token, 0, 0, 0) ON CONFLICT DO NOTHING;
    here := locked();
    IF here.epoch = known_epoch AND here.at < known THEN
        DELETE FROM kept;
        DELETE FROM topics;
        UPDATE place SET epoch = token, at = known + 1000000, forgotten = known + 1000000 RETURNING * INTO here;
    END IF;
    RETURN json_build_array(here.epoch, here.at);
END $$;

CREATE FUNCTION put(node text, batch json) RETURNS json LANGUAGE plpgsql AS $$
DECLARE here place; items publication[]; last bigint;
BEGIN
    here := locked();
    SELECT o.number INTO last FROM origins o WHERE o.origin = node;
    SELECT array_agg(i ORDER BY i.number) INTO items
        FROM json_populate_recordset(NULL::publication, batch) i WHERE i.number > coalesce(last, 0);
    IF items IS NULL THEN RETURN json_build_array(here.epoch, here.at, '{}'::bigint[]); END IF;
    IF NOT EXISTS (SELECT FROM unnest(items) i WHERE i.durable) THEN PERFORM set_config('synchronous_commit', 'off', true); END IF;
    INSERT INTO origins VALUES (node, (items[cardinality(items)]).number, now_s())
        ON CONFLICT (origin) DO UPDATE SET number = excluded.number, seen = excluded.seen;
    RETURN spread(here, items);
END $$;

CREATE FUNCTION past(name text, since bigint, forgotten bigint, OUT texts text[], OUT gap boolean) LANGUAGE plpgsql AS $$
DECLARE last bigint; missing boolean;
BEGIN
    SELECT array_agg(body ORDER BY at), max(at), bool_or(before > earlier) INTO texts, last, missing FROM (
        SELECT *, coalesce(lag(at) OVER (ORDER BY at), since) AS earlier FROM (
            SELECT * FROM kept WHERE topic = name ORDER BY at DESC LIMIT (SELECT keep FROM kept WHERE topic = name ORDER BY at DESC LIMIT 1)
        ) newest WHERE at > since AND till >= now_s()
    ) found;
    gap := coalesce(missing, false) OR coalesce((SELECT t.at FROM topics t WHERE t.topic = name), forgotten) > coalesce(last, since);
END $$;

-- The node and the number of its fence; questions, each a list of whether a pattern is exact, itself or its expression, and a place.
CREATE FUNCTION after(node text, fence text, questions json) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    here place; question json; each json; answers json[] := '{}'; texts text[]; gaps int[]; found record; n int; since bigint; gap boolean;
BEGIN
    here := locked();
    FOR question IN SELECT * FROM json_array_elements(questions) LOOP
        texts := '{}'; gaps := '{}'; n := 0;
        FOR each IN SELECT * FROM json_array_elements(question) LOOP
            since := (each ->> 2)::bigint;
            IF (each ->> 0)::boolean THEN
                found := past(each ->> 1, since, here.forgotten);
                texts := texts || found.texts;
                gap := found.gap;
            ELSE
                gap := here.forgotten > since;
                FOR found IN
                    SELECT p.* FROM topics t, past(t.topic, since, here.forgotten) p WHERE t.at > since AND t.topic ~ (each ->> 1)
                LOOP
                    texts := texts || found.texts;
                    gap := gap OR found.gap;
                END LOOP;
            END IF;
            IF gap THEN gaps := gaps || n; END IF;
            n := n + 1;
        END LOOP;
        answers := answers || json_build_array(texts, gaps);
    END LOOP;
    PERFORM pg_notify(current_schema() || ':' || node, 'f' || fence);
    RETURN json_build_array(here.epoch, here.at, answers);
END $$;

CREATE FUNCTION history(name text) RETURNS json LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(array_to_json((past(name, -1, 0)).texts), '[]')
$$;

-- For applications: publish when the transaction commits. What a role needs for it is USAGE of the schema.
CREATE FUNCTION publish(topic text, payload json, history int DEFAULT 0, age float8 DEFAULT 3600) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = @SCHEMA@, pg_temp AS $$
BEGIN
    IF topic IS NULL OR topic !~ '^([A-Za-z0-9_:@/~+=,-]|[^\\x01-\\x7f])+([.]([A-Za-z0-9_:@/~+=,-]|[^\\x01-\\x7f])+)*$'
        OR length(topic) > 255
    THEN
        RAISE 'hendrix: % is no topic, as chat.lobby is', coalesce(quote_literal(topic), 'null');
    END IF;
    IF payload IS NULL OR octet_length(payload::text) > @PAYLOAD@ THEN
        RAISE 'hendrix: a payload is JSON of up to @PAYLOAD@ bytes';
    END IF;
    INSERT INTO outbox (topic, keep, age, body) VALUES (
        topic, history, age,
        json_build_array(@ENVELOPE@, '@MESSAGE@', '', 0, round(extract(epoch FROM clock_timestamp())::numeric, 3), topic, NULL)::text
            || chr(10) || payload::text
    );
    PERFORM pg_notify(current_schema(), 'o');
END $$;
"""
