"""The pages: each shows one thing that a server must get right."""

import hashlib
import threading
from collections.abc import Iterator

import django
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.mail import send_mail
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_GET

from guestbook import watch
from guestbook.forms import EntryForm, UploadForm
from guestbook.models import Entry
from hendrix import crosstown_traffic

SHOWN = 20  # entries on a page


def front(request: HttpRequest) -> HttpResponse:
    """The front page; the session counts the visits."""
    request.session["visits"] = visits = request.session.get("visits", 0) + 1
    facts = {
        "Server": request.META.get("SERVER_SOFTWARE", "unknown"),
        "Django": django.get_version(),
        "Thread": threading.current_thread().name,
        "Your visits": visits,
    }
    return render(request, "guestbook/front.html", {"facts": facts, "entries": Entry.objects.all()[:3]})


@xframe_options_sameorigin
def book(request: HttpRequest, template: str = "guestbook/book.html") -> HttpResponse:
    """The guest book and its form; the session remembers the name of who signed, and the host of the book gets an e-mail."""
    name = request.session.get("name") or request.user.get_username()
    form = EntryForm(request.POST or None, initial={"name": name})
    if form.is_valid():
        entry = form.save()
        watch.announce()

        @crosstown_traffic(after_commit=True)
        def tell_the_host() -> None:  # the visitor has the page already, however slow the mail is
            send_mail(f"{entry.name} has signed the guest book", entry.text, None, [settings.HOST_EMAIL])

        request.session["name"] = form.cleaned_data["name"]
        return redirect(request.path)
    return render(request, template, {"form": form, "entries": Entry.objects.all()[:SHOWN]}, status=400 if form.errors else 200)


def upload(request: HttpRequest) -> HttpResponse:
    """Take a file, however large, and give a receipt for it; the file itself is not kept."""
    form = UploadForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        receipts = [_receipt(form.cleaned_data["file"]), *request.session.get("receipts", [])]
        request.session["receipts"] = receipts[:5]
        return redirect("upload")
    context = {"form": form, "receipts": request.session.get("receipts", [])}
    return render(request, "guestbook/upload.html", context, status=400 if form.errors else 200)


def _receipt(file: UploadedFile) -> dict[str, object]:
    """Describe ``file``, reading it piece by piece, so that its size does not matter."""
    digest = hashlib.sha256()
    for piece in file.chunks():
        digest.update(piece)
    return {"name": file.name, "size": file.size, "sha256": digest.hexdigest()}


@require_GET
def live(request: HttpRequest) -> StreamingHttpResponse:
    """Stream the guest book: what is there at once, then each new entry in the moment it is written."""
    page = render_to_string("guestbook/live.html", {"seconds": int(watch.SECONDS), "limit": watch.LIMIT}, request)
    return StreamingHttpResponse(_pieces(page))


def _pieces(page: str) -> Iterator[str]:
    """Cut ``page`` at its mark and yield the entries between the two halves."""
    top, bottom = page.split("<!-- entries -->")
    latest = list(Entry.objects.all()[:3])
    yield top + "".join(map(_item, reversed(latest)))
    for entry in watch.follow(latest[0].pk if latest else 0):
        yield _item(entry) if entry else "\n"  # nothing to see, but a client that left is found out by it
    yield bottom


def _item(entry: Entry) -> str:
    return render_to_string("guestbook/entry.html", {"entry": entry})
