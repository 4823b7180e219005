"""The app: rooms to talk in."""

from django.apps import AppConfig


class ChatConfig(AppConfig):
    """Connects what happens at the log-out."""

    name = "chat"

    def ready(self) -> None:
        """Signals are connected by the import."""
        from chat import live  # noqa: F401
