"""The names of applications: each way to write one, and for each part that can be wrong the line that says so."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from hendrix.errors import ConfigurationError
from hendrix.launch import explain
from hendrix.options import Settings
from hendrix.wsgi.loading import check, load, settings_in

APP = """
    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"hello"]

    def factory():
        return application

    def needy(one):
        return application

    def broken():
        raise RuntimeError("no database\\nand no disk")

    async def asgi(scope, receive, send):
        pass

    class Holder:
        app = staticmethod(application)

    class Site:
        def __init__(self, environ, start_response):
            pass

    text = "no application"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current directory, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE", raising=False)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("hx")]:
        del sys.modules[name]


def write(path, text):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(textwrap.dedent(text))


def error_of(**keywords):
    with pytest.raises(ConfigurationError) as raised:
        load(Settings(**keywords))
    return raised.value


@pytest.mark.parametrize(
    "name", ["hxpkg.web.application", "hxpkg.web:application", "hxpkg.web:factory()", "hxpkg.web.factory()", "hxpkg.web:Holder.app"]
)
def test_an_application_is_found_by_each_form_of_its_name(here, name):
    write(here / "hxpkg/web.py", APP)
    application, title = load(Settings(wsgi=name))
    assert application.__name__ == "application"
    assert title == name


def test_an_application_may_be_a_class_or_an_object(here):
    write(here / "hxpkg/web.py", APP)
    assert load(Settings(wsgi="hxpkg.web:Site"))[0].__name__ == "Site"

    class Application:
        def __call__(self, environ, start_response):
            return []

    application = Application()
    assert load(Settings(wsgi=application)) == (application, f"{__name__}.{Application.__qualname__}")


def test_the_current_directory_and_pythonpath_come_first_and_once(here, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    write(other / "hxother.py", APP)
    sys.path.append(str(here))
    for _ in range(2):
        load(Settings(wsgi="hxother:application", pythonpath=[other]))
    assert sys.path[:2] == [str(here), str(other)]
    assert sys.path.count(str(here)) == sys.path.count(str(other)) == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hxpkg", "write it as package.module.attribute, package.module:attribute or package.module:factory()"),
        ("hxpkg/web.py", "write it as package.module.attribute, package.module:attribute or package.module:factory()"),
        ("hxpkg.web:", "write it as package.module.attribute, package.module:attribute or package.module:factory()"),
        ("hxnone.web:application", "there is no module 'hxnone' in {here} or on the Python path"),
        ("hxpkg.wbe:application", "there is no module 'hxpkg.wbe' in {here} or on the Python path"),
        ("hxpkg.web:aplication", "module hxpkg.web has no attribute 'aplication'; did you mean application?"),
        ("hxpkg.web:app", "module hxpkg.web has no attribute 'app'; did you mean application?"),
        ("hxpkg.web:text.qqq", "hxpkg.web.text has no attribute 'qqq'; name one that it has"),
        ("hxpkg.web:Holder.qqq", "hxpkg.web.Holder has no attribute 'qqq'; did you mean app?"),
        ("hxpkg.web", "hxpkg.web is a module; name the application in it, such as hxpkg.web:application"),
        ("hxpkg.web:text", "hxpkg.web.text is of type str and cannot be called; name a WSGI application"),
        ("hxpkg.web:text()", "hxpkg.web.text is of type str and cannot be called; name a WSGI application"),
        ("hxpkg.web:Holder()", "what hxpkg.web.Holder() returned is of type Holder and cannot be called; name a WSGI application"),
        ("hxpkg.web:factory", "hxpkg.web.factory does not take (environ, start_response); a factory is written with () behind it;"),
        ("hxpkg.web:asgi", "hxpkg.web.asgi does not take (environ, start_response); a factory is written with () behind it;"),
    ],
)
def test_the_part_that_is_wrong_is_named_in_one_line(here, name, words):
    write(here / "hxpkg/web.py", APP)
    write(here / "hxpkg/__init__.py", "")
    error = error_of(wsgi=name)
    assert str(error).startswith(f"--wsgi={name}: {words.format(here=here)}")
    assert explain(error) == f"hendrix: error: {error}"
    assert "\n" not in str(error)


def test_the_form_of_a_name_can_be_checked_without_running_anything():
    check(Settings())
    check(Settings(wsgi="nowhere:application"))
    check(Settings(wsgi=test_the_form_of_a_name_can_be_checked_without_running_anything))
    with pytest.raises(ConfigurationError, match=r"^--wsgi=a b: write it as"):
        check(Settings(wsgi="a b"))


@pytest.mark.parametrize(
    ("source", "line", "traceback"),
    [
        ("import hxmissing", "ModuleNotFoundError: No module named 'hxmissing'", 'web.py", line 1, in <module>'),
        ("from . import missing", "ImportError: cannot import name 'missing' from 'hxpkg'", 'web.py", line 1, in <module>'),
        ("def broken(:", "SyntaxError: invalid syntax", 'web.py", line 1'),
        ("1 / 0", "ZeroDivisionError: division by zero", 'web.py", line 1, in <module>'),
        ("raise SystemExit('set SECRET')", "SystemExit: set SECRET", 'web.py", line 1, in <module>'),
    ],
)
def test_an_error_inside_the_module_shows_its_own_traceback_once(here, source, line, traceback):
    write(here / "hxpkg/__init__.py", "")
    write(here / "hxpkg/web.py", source)
    error = error_of(wsgi="hxpkg.web:application")
    assert str(error).startswith(f"--wsgi=hxpkg.web:application: importing hxpkg.web raised {line}")
    text = explain(error)
    assert text.count(traceback) == 1
    assert "loading.py" not in text
    assert "importlib" not in text
    assert text.splitlines()[-1] == f"hendrix: error: {error}"


def test_an_error_inside_a_factory_shows_its_own_traceback(here):
    write(here / "hxpkg/web.py", APP)
    error = error_of(wsgi="hxpkg.web:broken()")
    assert str(error) == (
        "--wsgi=hxpkg.web:broken(): calling hxpkg.web.broken() raised RuntimeError: no database; its traceback stands above"
    )
    assert "in broken" in explain(error)
    assert "missing 1 required positional argument" in str(error_of(wsgi="hxpkg.web:needy()"))


# --- Django: one configuration for each process, so each of these is one ------------------------------------------------

PROJECT = {
    "mysite/__init__.py": "",
    "mysite/settings.py": "SECRET_KEY = 'x'\nROOT_URLCONF = 'mysite.urls'\nWSGI_APPLICATION = 'mysite.wsgi.application'\n",
    "mysite/bare.py": "SECRET_KEY = 'x'\nROOT_URLCONF = 'mysite.urls'\n",
    "mysite/wrong.py": "SECRET_KEY = 'x'\nWSGI_APPLICATION = 'mysite.wsgi.app'\n",
    "mysite/urls.py": "urlpatterns = []\n",
    "mysite/wsgi.py": "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n",
    "manage.py": """
        import os
        def main():
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
        """,
}
TRY = """
import sys
from hendrix.errors import ConfigurationError
from hendrix.options import Options
from hendrix.wsgi.loading import load
options = Options()
options.parseOptions(sys.argv[1:])
try:
    application, name = load(options.to_settings())
    print(type(application).__name__, name)
except ConfigurationError as error:
    print(error)
"""


def found_by(directory, *arguments, **environ):
    clean = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    run = [sys.executable, "-c", TRY, *arguments]
    done = subprocess.run(run, cwd=directory, env={**clean, "PYTHONPATH": path, **environ}, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path):
    for name, text in PROJECT.items():
        write(tmp_path / name, text)
    return tmp_path


def test_a_django_project_is_found_by_its_manage_py(project):
    assert found_by(project) == "WSGIHandler mysite.wsgi.application"


def test_settings_win_over_the_environment_which_wins_over_manage_py(project):
    assert found_by(project, DJANGO_SETTINGS_MODULE="mysite.bare") == "WSGIHandler Django with mysite.bare"
    assert found_by(project, "--settings=mysite.settings", DJANGO_SETTINGS_MODULE="mysite.bare") == "WSGIHandler mysite.wsgi.application"


def test_settings_are_in_the_environment_of_a_named_application(project):
    assert found_by(project, "--settings=mysite.bare", "--wsgi=mysite.wsgi.application") == "WSGIHandler mysite.wsgi.application"


def test_what_is_wrong_with_a_django_project_is_named(project):
    assert found_by(project, "--settings=mysite.nope").startswith("--settings=mysite.nope: there is no module 'mysite.nope' in")
    assert found_by(project, DJANGO_SETTINGS_MODULE="nope").startswith("DJANGO_SETTINGS_MODULE=nope: there is no module 'nope' in")
    assert found_by(project, "--settings=mysite.wrong") == (
        "WSGI_APPLICATION='mysite.wsgi.app' in mysite.wrong: module mysite.wsgi has no attribute 'app'; did you mean application?"
    )
    write(project / "mysite/settings.py", "1 / 0")
    assert found_by(project).startswith(f"{project}/manage.py (DJANGO_SETTINGS_MODULE=mysite.settings): importing mysite.settings raised")


def test_without_any_application_the_three_ways_are_named(here):
    assert str(error_of()) == (
        "there is no application to serve: give --wsgi=package.module:attribute, or --settings=MODULE for a Django project, "
        f"or start in the directory of its manage.py ({here} has none)"
    )


def test_a_manage_py_that_tells_nothing_is_named(here):
    write(here / "manage.py", "import settings_of_mine")
    assert str(error_of()).startswith(f"{here}/manage.py: it sets no DJANGO_SETTINGS_MODULE that can be read without running it")


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'a_b.settings')", "a_b.settings"),
        ("from os import environ\nif True:\n    environ.setdefault('DJANGO_SETTINGS_MODULE', 'a.b')", "a.b"),
        ("import os\nos.environ['DJANGO_SETTINGS_MODULE'] = 'a.b'", "a.b"),
        ("# os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'commented.out')", None),
        ("import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', where())", None),
        ("import os\nos.environ.setdefault('OTHER', 'a.b')", None),
        ("syntax error", None),
    ],
)
def test_manage_py_is_read_by_its_syntax_and_never_run(tmp_path, source, module):
    write(tmp_path / "manage.py", source)
    assert settings_in(str(tmp_path / "manage.py")) == module
