"""The app of the example site."""

from django.apps import AppConfig


class GuestbookConfig(AppConfig):
    """A guest book, an upload desk and a page that streams."""

    name = "guestbook"
    verbose_name = "Guest book"
