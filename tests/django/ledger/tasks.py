"""Tasks, good and bad."""

import threading

from django.utils import translation

from ledger.api import TaskContext, task
from ledger.models import Line

ran: list[object] = []


@task
def note(text):
    ran.append(text)


@task()
async def note_async(text):
    ran.append(text)


@task
def answer():
    return 42


@task
def mixed(value=None):
    return {"tuple": (1, 2), "value": value}


@task
def fails():
    raise ValueError("This was to be expected")


@task
def fails_with_an_error_in_an_error():
    raise ValueError(ValueError("inner"))


@task
def exits():
    raise SystemExit("the way out")


@task
def is_interrupted():
    raise KeyboardInterrupt("Ctrl-C")


@task
def returns_what_is_no_json():
    return object()


@task(takes_context=True)
def own_id(context):
    return context.task_result.id


@task(takes_context=True)
def attempt(context, expected):
    assert isinstance(context, TaskContext)
    assert context.attempt == expected


@task
def where():
    return [threading.get_ident(), translation.get_language()]


@task
def write(text):
    Line.objects.create(text=text)


@task
async def write_async(text):
    await Line.objects.acreate(text=text)


@task
def chain(text):
    ran.append(f"{text} 1")
    note.enqueue(f"{text} 2")
