"""hendrix in a Django project: put ``"hendrix.django"`` into ``INSTALLED_APPS``.

Crosstown tasks then look after their database connections, wait for a commit where they are asked to, keep the language and the time zone
of their author, and run under Django's test client when the response is closed. `hendrix.django.tasks` is a backend for ``TASKS``.
"""
