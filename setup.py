"""How hendrix is installed: the package, its `twistd` plugin, its extras and its two commands. Tool settings are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "hendrix/__init__.py").read_text(encoding="utf-8"), re.MULTILINE)[1]

FEATURES = {
    "tls": ["twisted[tls]"],
    "websocket": ["wsproto>=1.2"],
    "tor": ["txtorcon>=24.8"],
    "fast": ["uvloop>=0.21; sys_platform != 'win32'"],
    "redis": ["redis>=5"],
    "postgres": ["psycopg[binary]>=3.2"],
    "metrics": ["prometheus-client>=0.23"],
    "opentelemetry": ["opentelemetry-api>=1.20"],
    "manhole": ["twisted[conch]"],
    "cron": ["cronsim>=2.6"],
    "django": ["django>=5.2"],
    "profile": ["py-spy>=0.4.1; sys_platform != 'win32'"],
    "dev-server": ["watchfiles>=1"],
}
TEST = ["pytest>=9", "pytest-xdist>=3.6", "hypothesis>=6.100", "webtest>=3", "flask>=3", "pyramid>=2", "bottle>=0.13", "django-tasks>=0.10"]
TEST += ["celery>=5.4", "selenium>=4.20", "klein>=24.8", "opentelemetry-sdk>=1.20"]
TEST += sorted({requirement for extra in FEATURES.values() for requirement in extra})
DOCS = ["sphinx>=8.1", "myst-parser>=4", "furo>=2024.8"]
DEVELOP = [*DOCS, "ruff>=0.14", "mypy>=1.18", "mypy-zope>=1.0.14", "build>=1.2", "setuptools>=77"]

setup(
    name="hendrix",
    version=VERSION,
    description="One Twisted process tree for a whole Python web project: WSGI, work after the response, WebSockets and friends.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="hendrix contributors",
    license_expression="MIT",
    license_files=["LICENSE"],
    keywords="wsgi server twisted django websocket crosstown_traffic",
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Web Environment",
        "Framework :: Django",
        "Framework :: Twisted",
        "Intended Audience :: Developers",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Internet :: WWW/HTTP :: WSGI :: Server",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    # `twisted.plugins` is named by hand: it has no __init__.py, for it adds one file to a package that is Twisted's.
    packages=[*find_packages(include=["hendrix", "hendrix.*"]), "twisted.plugins"],
    # This puts the plugin on sys.path in an editable install too: without it setuptools writes a finder that `twistd` does not look into.
    package_dir={"": "."},
    package_data={"hendrix": ["py.typed"], "hendrix.hey_joe": ["static/*"], "hendrix.status": ["static/*"]},
    zip_safe=False,
    install_requires=["twisted>=26.10", "zope.interface>=5", "httptools>=0.9"],
    extras_require={**FEATURES, "test": TEST, "docs": DOCS, "dev": TEST + DEVELOP},
    entry_points={
        "console_scripts": ["hendrix = hendrix.cli:main", "hx = hendrix.cli:main"],
        "pytest11": ["hendrix = hendrix.pytest_plugin"],
    },
)
