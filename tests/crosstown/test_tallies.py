"""`hendrix.crosstown.tallies`: what became of tasks, by name."""

from __future__ import annotations

from crew import Crew, Response

from hendrix.crosstown.dispatcher import Dispatcher
from hendrix.crosstown.gate import parse
from hendrix.crosstown.tallies import NAMES, OTHERS, Tallies
from hendrix.crosstown.task import Task


def fail():
    raise ValueError


def test_each_end_is_counted_under_its_name():
    crew = Crew()
    dispatcher = Dispatcher(crew, 4)
    dispatcher.counts.tallies = tallies = Tallies()
    response = Response(dispatcher, code="404")
    tasks = [Task(lambda: None, "well", frozenset()), Task(fail, "badly", frozenset()), Task(fail, "not", parse("4xx"))]
    tasks += [Task(fail, "no longer", frozenset())]
    for task in tasks:
        dispatcher.queue(response, task)
    tasks[-1].cancel()
    dispatcher.is_out(response)
    crew.step_all()
    assert dict(tallies.ended) == {("well", "done"): 1, ("badly", "failed"): 1, ("not", "no-go"): 1, ("no longer", "cancelled"): 1}
    assert set(tallies.delays) == set(tallies.runs) == {"well", "badly"}
    assert all(sum(histogram[1:]) == 1 for histogram in (*tallies.delays.values(), *tallies.runs.values()))
    counts = dispatcher.counts
    assert (counts.done, counts.failed, counts.gated, counts.cancelled) == (1, 1, 1, 1)


def test_the_end_of_the_process_cancels_by_name_too():
    dispatcher = Dispatcher(Crew(), 4)
    dispatcher.counts.tallies = tallies = Tallies()
    dispatcher.queue(Response(dispatcher), Task(fail, "late", frozenset()))
    dispatcher.abandon()
    assert dict(tallies.ended) == {("late", "cancelled"): 1}


def test_names_that_an_application_makes_up_do_not_fill_the_memory():
    tallies = Tallies()
    for number in range(NAMES + 10):
        tallies.end(f"task {number}", "done")
        tallies.started(f"task {number}", 0.0)
    assert len(tallies.ended) == len(tallies.delays) == NAMES + 1 and tallies.ended[OTHERS, "done"] == 10
