"""What is PostgreSQL's own: the sizes of notifications, transactions of applications, rights, crashes and restarts."""

from __future__ import annotations

import contextlib
import json
import os

import postgres_server
import psycopg
import pytest
from clusters import EnginePlace, Turning
from twisted.logger import globalLogPublisher

from hendrix import values
from hendrix.errors import ConfigurationError
from hendrix.hey_joe.brokers.engine import EngineError, Publication
from hendrix.hey_joe.brokers.envelope import MESSAGE, opened, sealed
from hendrix.hey_joe.brokers.postgres_sql import expression
from hendrix.hey_joe.brokers.url import broker_of, engines_of
from hendrix.hey_joe.hub import Hub

pytestmark = pytest.mark.skipif(bool(postgres_server.missing()), reason=postgres_server.missing())


@pytest.fixture(scope="module")
def turning():
    turning = Turning()
    yield turning
    turning.stop()


@pytest.fixture(scope="module")
def server():
    with postgres_server.PostgresServer(auth="scram-sha-256") as server:
        yield server


@pytest.fixture
def place(server, turning):
    place = EnginePlace(turning, server)
    yield place
    place.close()


@pytest.fixture
def nodes(place):
    return [place.node(), place.node()]


@pytest.fixture
def got(turning):
    """Until a reader has got so many."""

    def wait(reader, count):
        try:
            turning.until(lambda: len(reader.payloads) >= count)
        except AssertionError:
            raise AssertionError(f"{len(reader.payloads)} of {count}: {reader.got[-5:]}") from None

    return wait


def back(turning, *nodes):
    turning.until(lambda: all(node.connected for node in nodes), "the nodes do not come back")


def schema(place):
    return place._name


def application(server):
    return psycopg.connect(server.url)


# Sizes.


def test_messages_of_each_size_come_in_their_order(nodes, got):
    """A notification carries 7,999 bytes, of which the envelope takes some: one of these has just fitted, and one just not."""
    reader = nodes[1].reader("a", messages=10_000)
    sizes = [*range(7_850, 8_005), 1, 7_999, 8_000, 2, (1 << 20) - 2, 3, 1_000_000, 4]
    nodes[0].publish("a", *("x" * size for size in sizes))
    got(reader, len(sizes))
    assert [len(payload) for payload in reader.payloads] == sizes and not reader.gaps
    assert reader.ids == sorted(reader.ids)


def test_bytes_count_and_not_characters(nodes, got):
    reader = nodes[1].reader("a")
    payloads = ["\U0001f3b8" * count for count in range(1_950, 2_001)]
    nodes[0].publish("a", *payloads)
    got(reader, len(payloads))
    assert reader.payloads == payloads


def test_large_results_come_back_to_who_waits(nodes, turning):
    answers = []
    nodes[1].serve("q")
    nodes[0].branches[0].enqueue("q", "y" * 20_000, None, 60, lambda *answer: answers.append(answer))
    turning.until(lambda: answers)
    ((ok, value),) = answers
    assert ok and "y" * 20_000 in value


def test_large_messages_of_topics_that_nobody_hears_are_not_fetched(nodes, turning, server, got):
    reader = nodes[0].reader("heard")
    fetched = []
    engine = turning.call(lambda: nodes[0].hub.broker._engine)
    fetch = engine._fetch_later
    engine._fetch_later = lambda number, told: (fetched.append(number), fetch(number, told))
    nodes[1].publish("silent", "x" * 10_000)
    nodes[1].publish("heard", "y" * 10_000)
    got(reader, 1)
    assert len(fetched) == 1


def test_only_what_is_kept_is_in_the_table(place, nodes, server):
    for node in nodes:
        node.rule("a", history=3)
    nodes[0].publish("a", *range(20))
    nodes[0].publish("b", *range(20))
    nodes[0].ask("position")
    assert server.ask(f"SELECT topic, count(*) FROM {schema(place)}.kept GROUP BY 1") == [("a", 3)]


# In the transactions of applications.


def test_a_transaction_publishes_when_it_commits_and_not_when_it_rolls_back(place, nodes, server, got):
    reader = nodes[1].reader("**")
    with application(server) as connection:
        publish = f"SELECT {schema(place)}.publish(%s, %s)"
        connection.execute(publish, ["orders.new", '{"id": 1}'])
        connection.rollback()
        connection.execute(publish, ["orders.new", '{"id": 2}'])
        connection.execute("SAVEPOINT here")
        connection.execute(publish, ["orders.new", '{"id": 3}'])
        connection.execute("ROLLBACK TO here")
        connection.execute(publish, ["größe", json.dumps("x" * 10_000)])
        nodes[0].publish("other", "while it is open")
        got(reader, 1)
    got(reader, 3)
    assert reader.payloads == ["while it is open", {"id": 2}, "x" * 10_000]


def test_what_a_transaction_publishes_is_kept_and_waits_for_a_node(place, server, turning, got):
    first = place.node()
    position = first.ask("position")
    first.stop()
    place._nodes.remove(first)
    with application(server) as connection:
        for n in range(1_200):
            connection.execute(f"SELECT {schema(place)}.publish('a', %s::text::json, history => 2000)", [n])
    node = place.node()
    turning.until(lambda: server.ask(f"SELECT count(*) FROM {schema(place)}.outbox") == [(0,)])
    reader = node.reader("a", since=position, messages=10_000)
    got(reader, 1_200)
    assert reader.payloads == list(range(1_200)) and not reader.gaps


@pytest.mark.parametrize("topic", ["", "$own", "a..b", "a b", "a*", None, "x" * 256])
def test_what_is_no_topic_is_refused_in_one_line(place, nodes, server, topic):
    with application(server) as connection, pytest.raises(psycopg.Error, match="is no topic"):
        connection.execute(f"SELECT {schema(place)}.publish(%s, '1')", [topic])


def test_a_payload_that_is_too_large_is_refused(place, nodes, server):
    with application(server) as connection, pytest.raises(psycopg.Error, match="a payload is JSON of up to 1048576 bytes"):
        connection.execute(f"SELECT {schema(place)}.publish('a', %s)", [json.dumps("x" * (1 << 20))])


def test_a_role_may_be_allowed_to_publish_and_nothing_more(place, nodes, server, turning, got):
    reader = nodes[0].reader("a")
    name = schema(place)
    server.ask(f"CREATE ROLE app_{name} LOGIN PASSWORD 'sekret'; GRANT USAGE ON SCHEMA {name} TO app_{name}")
    server.ask(f"SELECT {name}.publish('a', '1')", user=f"app_{name}")
    got(reader, 1)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        server.ask(f"SELECT * FROM {name}.queue", user=f"app_{name}")


# Clear errors.


def described(place, url, until):
    """How a node says that it cannot be at this broker."""
    turning = place.turning
    hub = turning.call(lambda: Hub(broker=broker_of(url, turning.reactor)))
    turning.call(hub.start)
    try:
        with contextlib.suppress(AssertionError):
            turning.until(lambda: until in hub.describe())
        line = turning.call(hub.describe)
        assert until in line
    finally:
        turning.call(hub.stop)
    assert "\n" not in line and "sekret" not in line
    return line


def test_errors_are_one_line_that_says_what_is_wrong(place, server):
    nobody = f"postgresql://postgres:wrong-sekret@127.0.0.1:{server.port}/postgres"
    events = []
    globalLogPublisher.addObserver(events.append)
    try:
        described(place, nobody, 'password authentication failed for user "postgres"')
    finally:
        globalLogPublisher.removeObserver(events.append)
    logged = [event["why"] for event in events if "cannot be reached" in (event.get("log_format") or "")]
    assert len(logged) == 1 and 'password authentication failed for user "postgres"' in logged[0]
    described(place, server.url.replace("/postgres", "/nothing").replace("//nothing", "//postgres"), 'database "nothing" does not exist')
    server.ask("CREATE ROLE modest LOGIN PASSWORD 'sekret'")
    modest = f"postgresql://modest:sekret@127.0.0.1:{server.port}/postgres?name=fresh"
    described(place, modest, "permission denied for database postgres; an administrator may do CREATE SCHEMA fresh AUTHORIZATION")
    server.ask("CREATE SCHEMA fresh AUTHORIZATION modest")
    described(place, modest, "(lag")
    server.ask("UPDATE fresh.about SET version = 99")
    described(place, modest, "the schema fresh is that of another hendrix: its version is 99, and this one knows 1")
    server.ask("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    described(place, f"postgresql://postgres:sekret@127.0.0.1:{server.port}/old", "the encoding of the database is LATIN1")
    described(place, "postgresql://nowhere.invalid/x", "nowhere.invalid: ")


@pytest.mark.parametrize(
    "url", ["postgresql://h/db", "postgres://u:p@h:5433/db", "postgresql:///db?host=/run/postgresql", "postgresql://one:5432,two:5433/db"]
)
def test_urls_that_the_option_takes(url):
    assert values.broker(url) == url


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://h/db?name=Two%20Words", "name=Two Words: it is that of a schema"),
        ("postgresql://h/db?name=pg_temp", "name=pg_temp: it is that of a schema"),
        ("postgresql://h/db?sslmod=require", 'invalid URI query parameter: "sslmod"'),
        ("postgresql://u:sekret%zz@h/db", "is not percent-encoded"),
    ],
)
def test_what_is_wrong_in_a_url_is_said_before_anything_starts(turning, url, why):
    with pytest.raises(ConfigurationError, match=why) as raised:
        broker_of(url, turning.reactor)
    assert "sekret" not in str(raised.value)


def test_several_hosts_names_and_sockets(place, server):
    dead = postgres_server.free_port()
    described(place, f"postgresql://postgres:sekret@127.0.0.1:{dead},localhost:{server.port}/postgres", "(lag")
    described(place, f"postgresql://postgres:sekret@/postgres?host={server.directory}&port={server.port}", "(lag")


# Crashes and restarts.


def test_a_restart_loses_nothing(turning, got):
    with postgres_server.PostgresServer() as server:
        place = EnginePlace(turning, server)
        nodes = [place.node(), place.node()]
        for node in nodes:
            node.rule("a", history=100)
        readers = [node.reader("a") for node in nodes]
        nodes[0].publish("a", 1)
        for reader in readers:
            got(reader, 1)
        server.stop()
        turning.until(lambda: not any(node.connected for node in nodes))
        nodes[0].publish("a", 2)
        server.start()
        back(turning, *nodes)
        nodes[1].publish("a", 3)
        for reader in readers:
            got(reader, 3)
            assert sorted(reader.payloads) == [1, 2, 3] and not reader.gaps
        place.close()


def test_durable_messages_survive_a_crash(turning):
    with postgres_server.PostgresServer() as server:
        place = EnginePlace(turning, server)
        node = place.node()
        node.branches[0].enqueue("q", "kept", key="k")
        turning.until(lambda: server.ask(f"SELECT count(*) FROM {schema(place)}.queue") == [(1,)])
        server.kill()
        turning.until(lambda: not node.connected)
        server.start()
        back(turning, node)
        node.serve("q")
        turning.until(lambda: [payload for worker in node.workers for payload in worker.payloads] == ["kept"])
        place.close()


@pytest.mark.parametrize("which", ["LIKE", "NOT LIKE"])
def test_who_loses_one_connection_makes_both_anew_and_misses_nothing(place, nodes, server, turning, which, got):
    for node in nodes:
        node.rule("a", history=1_000)
    reader = nodes[1].reader("a", messages=10_000)
    ours = f"application_name = 'hendrix' AND query {which} '%LISTEN%'"
    for n in range(3):
        nodes[0].publish("a", *range(n * 100, n * 100 + 100))
        turning.until(lambda: server.ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}"))
    nodes[0].publish("a", *range(300, 400))
    got(reader, 400)
    assert sorted(reader.payloads) == list(range(400))
    assert reader.ids == sorted(set(reader.ids))


class Deaf:
    """Ears without a hub behind them."""

    def __init__(self):
        self.why, self.texts = [], []

    def heard(self, texts):
        self.texts += texts

    def told(self, text): ...

    def waiting(self, queue): ...

    def lost(self, why):
        self.why.append(why)


def test_what_is_published_twice_under_a_number_is_published_once(place, nodes, server, turning):
    make, _ = engines_of(f"{server.url}?name={schema(place)}", turning.reactor)
    engine, ears = make(), Deaf()
    turning.call(engine.open, "twice", ears, None)
    batch = [Publication(MESSAGE, "a", n, 0, 0.0, False, sealed(MESSAGE, "twice", n, 0.0, "a", None, str(n))) for n in range(1, 6)]
    turning.call(engine.subscribe, ["a"])
    first = turning.call(engine.publish, batch[:3])
    again = turning.call(engine.publish, batch)
    assert again.standing.offset == first.standing.offset + 2
    (past,) = turning.call(engine.after, [{}])
    assert past.standing == again.standing
    assert [opened(text).payload_text for text in ears.texts] == ["1", "2", "3", "4", "5"]  # all of them before the past
    turning.call(engine.close)


def test_a_past_waits_for_who_publishes_meanwhile(place, nodes, server, turning):
    make, _ = engines_of(f"{server.url}?name={schema(place)}", turning.reactor)
    engine, ears = make(), Deaf()
    standing = turning.call(engine.open, "asks", ears, None)
    turning.call(engine.subscribe, ["a"])
    one = Publication(MESSAGE, "a", 1, 10, 60.0, False, sealed(MESSAGE, "other", 1, 0.0, "a", None, '"slow"'))
    pasts = []
    with application(server) as connection:
        connection.execute(f"SET search_path = {schema(place)}")
        connection.execute("SELECT put('other', %s)", [json.dumps([one._asdict()])])
        turning.call(lambda: engine.after([{"a": standing.offset}]).addCallback(pasts.extend) and None)
        turning.until(lambda: server.ask("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)])
        assert not pasts and not ears.texts
    turning.until(lambda: pasts)
    (past,) = pasts
    assert past.standing.offset == standing.offset + 1 and past.messages == ears.texts and not past.gaps
    turning.call(engine.close)


def test_whatever_was_asked_fails_when_the_connection_is_lost(turning):
    with postgres_server.PostgresServer() as server:
        make, _ = engines_of(server.url, turning.reactor)
        engine, ears = make(), Deaf()
        turning.call(engine.open, "node", ears, None)
        turning.call(turning.reactor.removeReader, engine._listener)  # the answer comes, and its place does not
        halfway = []
        turning.call(lambda: engine.beat().addErrback(halfway.append) and None)
        turning.until(lambda: all(fence.act is not None for fence in engine._fences.values()))
        server.freeze()

        def ask():
            asked = [engine.beat(), engine.after([{"a": 0}]), engine.history("a"), engine.publish([]), engine.presence("a")]
            failures = []
            for answer in asked:
                answer.addErrback(failures.append)
            return failures

        failures = turning.call(ask)
        server.kill()
        turning.until(lambda: len(failures) == 5 and halfway, str(failures))
        assert all(failure.check(EngineError) for failure in failures + halfway)
        assert len(ears.why) == 1 and "\n" not in ears.why[0]
        turning.call(engine.close)
        assert len(ears.why) == 1


def test_no_descriptor_is_left_open(place, nodes, turning, server):
    def count():
        return len(os.listdir("/proc/self/fd"))

    def again():
        lived = nodes[0].hub.broker._reconnects
        turning.call(nodes[0].hub.broker.lost, "a test")
        turning.until(lambda: nodes[0].connected and nodes[0].hub.broker._reconnects > lived)

    again()
    before = count()
    for _ in range(5):
        again()
    assert count() <= before + 2


def test_patterns_as_expressions():
    assert expression("a.*") == r"^a\.[^.]+$"
    assert expression("**") == r"^[^$].*$"
    assert expression("$q.+") == r"^\$q\.\+$"
