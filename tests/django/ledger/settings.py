"""Settings; ``LEDGER_DATABASE`` names the SQLite file, ``LEDGER_POSTGRESQL`` the directory of the socket of a PostgreSQL instead;
``LEDGER_ATOMIC=1`` gives each view a transaction, ``LEDGER_MAX_AGE`` says for how many seconds connections are kept,
``LEDGER_BACKPORT=1`` takes the tasks of django-tasks where Django has its own."""

import os

import django

SECRET_KEY = "of a test"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "hendrix.django", "ledger"]
ROOT_URLCONF = "ledger.urls"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("LEDGER_DATABASE", ":memory:"),
        "ATOMIC_REQUESTS": os.environ.get("LEDGER_ATOMIC") == "1",
        "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
    }
}
if "LEDGER_POSTGRESQL" in os.environ:
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": os.environ["LEDGER_POSTGRESQL"],
        "ATOMIC_REQUESTS": os.environ.get("LEDGER_ATOMIC") == "1",
        "CONN_MAX_AGE": int(os.environ.get("LEDGER_MAX_AGE", "0")),
        "OPTIONS": {"application_name": "ledger"},
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "German"), ("fr", "French")]
TIME_ZONE = "UTC"
USE_TZ = True
BACKPORT = django.VERSION < (6,) or os.environ.get("LEDGER_BACKPORT") == "1"
INSTALLED_APPS += ["django_tasks"] * BACKPORT
TASKS = {"default": {"BACKEND": "hendrix.django.tasks.CrosstownBackend"}}
if BACKPORT and django.VERSION >= (6,):
    TASKS = {"default": {"BACKEND": "hendrix.django.tasks_backport.CrosstownBackend"}}
