"""Settings of the chat: ready for development, and refusing to run in production without a secret key.

Read from the environment:

- ``CHAT_DATABASE``: path of the SQLite file (default: ``chat.sqlite3`` beside ``manage.py``)
- ``CHAT_DEBUG``: ``0`` turns DEBUG off
- ``CHAT_SECRET_KEY``: the secret key; in development one is made and kept beside the database
- ``CHAT_HOSTS``: more host names to answer to, separated by commas
"""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from mysite.secret import development_key

BASE_DIR = Path(__file__).resolve().parent.parent
DATABASE = Path(os.environ.get("CHAT_DATABASE", BASE_DIR / "chat.sqlite3")).absolute()

DEBUG = os.environ.get("CHAT_DEBUG", "1") != "0"
SECRET_KEY = os.environ.get("CHAT_SECRET_KEY") or (development_key(DATABASE.with_suffix(".key")) if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("CHAT_SECRET_KEY must be set when CHAT_DEBUG=0.")
ALLOWED_HOSTS = [".localhost", "127.0.0.1", "[::1]", *filter(None, os.environ.get("CHAT_HOSTS", "").split(","))]

INSTALLED_APPS = [
    "chat",
    "hendrix.django",  # looks after the database connections of what runs outside of requests
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "mysite.policy.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "mysite.urls"
WSGI_APPLICATION = "mysite.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ],
        },
    },
]
INTERNAL_IPS = ["127.0.0.1", "::1"]  # who is shown the names of the demo at the log-in

# Several threads write: the write-ahead log lets readers go on meanwhile, and an immediate transaction waits for its
# turn where a deferred one would fail with "database is locked".
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATABASE,
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
LOGIN_URL = LOGOUT_REDIRECT_URL = "login"
LOGIN_REDIRECT_URL = "front"
