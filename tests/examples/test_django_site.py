"""The example Django site, served by a real process and used as a visitor and an administrator use it."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import django.contrib.admin
import pytest
from browser import DEADLINE, Browser, Page, opened, read_until

from harness import Site

WSGI = "mysite.wsgi.application"
LARGE = bytes(range(256)) * 12 * 1024  # 3 MiB: over what the server keeps in memory of a request, and over what Django does


@pytest.fixture(scope="session")
def project(examples: Path) -> Path:
    """The directory with manage.py."""
    return examples / "django_site"


def manage(project: Path, database: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py`` with a database of its own."""
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=project,
        env={**os.environ, "SITE_DATABASE": str(database), **environment},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


@pytest.fixture(scope="module")
def database(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as ``manage.py demo`` leaves it."""
    database = tmp_path_factory.mktemp("django_site") / "site.sqlite3"
    assert manage(project, database, "demo").returncode == 0
    return database


@pytest.fixture(scope="module")
def site(project: Path, database: Path) -> Iterator[Site]:
    """One process for all tests that do not want their own."""
    with Site(WSGI, cwd=project, env={"SITE_DATABASE": str(database)}) as site:
        yield site


@pytest.fixture
def browser(site: Site) -> Browser:
    """A new visitor."""
    return Browser(site.url)


def log_in(browser: Browser, path: str = "/login/") -> Page:
    """Log in as the administrator of the demo."""
    return browser.submit(browser.get(path), username="admin", password="admin")


def log_out(browser: Browser, page: Page) -> Page:
    """Press the button, whose form has a field that nobody types into."""
    return browser.submit(page, **page.form("csrfmiddlewaretoken").fields)


@contextlib.contextmanager
def watch(site: Site) -> Iterator[http.client.HTTPResponse]:
    """Open the live page, and read it as far as it has been written."""
    with opened(site.connect(timeout=DEADLINE), "/live/") as response:
        assert (response.status, response.headers["Content-Length"]) == (200, None)
        read_until(response, b'<ol class="entries">')
        yield response


class TestFrontPage:
    def test_it_counts_the_visits_of_each_session(self, browser: Browser) -> None:
        for visit in (1, 2, 3):
            assert f"<dt>Your visits</dt><dd>{visit}</dd>" in browser.get("/").text
        assert "<dt>Your visits</dt><dd>1</dd>" in Browser(browser.site).get("/").text

    def test_it_says_who_serves_it(self, site: Site, browser: Browser) -> None:
        page = browser.get("/")
        assert f"<dt>Django</dt><dd>{django.get_version()}</dd>" in page.text
        assert "<dt>Server</dt><dd>hendrix" in page.text

    def test_its_style_sheet_is_served(self, project: Path, browser: Browser) -> None:
        style = browser.get("/static/guestbook/site.css")
        assert style.headers.get_content_type() == "text/css"
        assert style.body == (project / "guestbook/static/guestbook/site.css").read_bytes()

    def test_it_has_an_icon(self, browser: Browser) -> None:
        assert browser.get("/favicon.ico").url == f"{browser.site}/static/guestbook/icon.svg"

    def test_a_page_that_is_not_there_is_not_found(self, browser: Browser) -> None:
        assert browser.get("/nowhere/").status == 404

    def test_a_host_that_is_not_ours_is_refused(self, browser: Browser) -> None:
        assert browser.get("/", {"Host": "example.com"}).status == 400


class TestGuestBook:
    def test_an_entry_is_kept_and_shown_escaped(self, browser: Browser) -> None:
        page = browser.submit(browser.get("/book/"), name="Zoë", text="1 < 2 & <b>3</b>")
        assert (page.status, page.url) == (200, f"{browser.site}/book/")
        assert "<blockquote>1 &lt; 2 &amp; &lt;b&gt;3&lt;/b&gt;</blockquote>" in page.text

    def test_the_session_remembers_who_signed(self, browser: Browser) -> None:
        browser.submit(browser.get("/book/"), name="Noel", text="Left-handed as well.")
        assert browser.get("/book/").form("name").fields["name"] == "Noel"
        assert Browser(browser.site).get("/book/").form("name").fields["name"] == ""

    def test_a_form_without_its_token_is_refused(self, browser: Browser) -> None:
        browser.get("/book/")
        assert browser.post("/book/", name="Mallory", text="no token").status == 403
        assert browser.post("/book/", name="Mallory", text="wrong token", csrfmiddlewaretoken="x" * 64).status == 403
        assert "Mallory" not in browser.get("/book/").text

    def test_an_empty_entry_is_sent_back_with_what_is_missing(self, browser: Browser) -> None:
        page = browser.submit(browser.get("/book/"), name="Mitch", text="")
        assert page.status == 400
        assert "This field is required." in page.text


class TestUpload:
    @pytest.mark.parametrize("content", [b"a small file\r\n", LARGE], ids=["small", "large"])
    def test_a_file_gets_a_receipt(self, browser: Browser, content: bytes) -> None:
        page = browser.upload(browser.get("/upload/"), "file", "notes & more.txt", content)
        assert page.status == 200
        receipt = f"<b>notes &amp; more.txt</b><span>{len(content):,} bytes</span><code>{hashlib.sha256(content).hexdigest()}</code>"
        assert receipt in page.text
        assert "bytes" not in Browser(browser.site).get("/upload/").text

    def test_an_upload_without_a_file_is_sent_back(self, browser: Browser) -> None:
        page = browser.upload(browser.get("/upload/"), "file", "", b"")
        assert page.status == 400
        assert "This field is required." in page.text

    @pytest.mark.parametrize("framing", [[], ["--header", "Transfer-Encoding: chunked"]], ids=["whole", "chunked"])
    def test_curl_uploads(self, site: Site, tmp_path: Path, framing: list[str]) -> None:
        curl = shutil.which("curl")
        assert curl, "these tests need curl"
        (tmp_path / "large.bin").write_bytes(LARGE)

        def run(*arguments: str) -> str:
            command = [curl, "--silent", "--show-error", "--fail", "--cookie", "jar", "--cookie-jar", "jar", *arguments]
            return subprocess.run(command, cwd=tmp_path, check=True, timeout=DEADLINE, capture_output=True, text=True).stdout

        page = Page(200, "", http.client.HTTPMessage(), run(f"{site.url}/upload/").encode())
        token = page.form("file").fields["csrfmiddlewaretoken"]
        fields = ["--form", f"csrfmiddlewaretoken={token}", "--form", "file=@large.bin"]
        run(*framing, *fields, f"{site.url}/upload/")  # no --location: curl would send the header again, without a body
        assert hashlib.sha256(LARGE).hexdigest() in run(f"{site.url}/upload/")


class TestLive:
    def test_an_entry_is_on_the_page_before_the_page_is_complete(self, site: Site, browser: Browser) -> None:
        with watch(site) as first, watch(site) as second:
            page = browser.get("/book/sign/")
            for number in range(1, 6):
                page = browser.submit(page, name="Buddy", text=f"Hit number {number}")
                for response in (first, second):
                    read_until(response, f"Hit number {number}</blockquote>".encode())
            assert first.read().decode().rstrip().endswith("</html>")
            assert second.read().decode().rstrip().endswith("</html>")

    def test_a_watcher_who_leaves_gives_the_thread_back(self, project: Path, database: Path) -> None:
        """Both threads watch, and would for 20 s more; they are free as soon as they find out."""
        with Site(WSGI, "--threads=2", cwd=project, env={"SITE_DATABASE": str(database)}) as site:
            with watch(site), watch(site):
                pass
            assert site.get("/", timeout=15).status == 200

    def test_the_form_on_the_page_may_be_framed_by_the_page_alone(self, browser: Browser) -> None:
        assert browser.get("/book/sign/").headers["X-Frame-Options"] == "SAMEORIGIN"
        assert browser.get("/upload/").headers["X-Frame-Options"] == "DENY"


class TestLogIn:
    def test_a_wrong_password_is_refused(self, browser: Browser) -> None:
        page = browser.submit(browser.get("/login/"), username="admin", password="guess")
        assert "Please enter a correct username and password." in page.text

    def test_in_and_out(self, browser: Browser) -> None:
        page = log_in(browser)
        assert page.url == f"{browser.site}/"
        assert "Log out admin" in page.text
        page = log_out(browser, page)
        assert page.url == f"{browser.site}/"
        assert "Log in" in page.text

    def test_over_tls_django_asks_where_a_form_comes_from(self, project: Path, database: Path, tls_endpoint: str) -> None:
        with Site(WSGI, cwd=project, listen=[tls_endpoint], env={"SITE_DATABASE": str(database)}) as site:
            browser = Browser(site.url)
            page = log_in(browser)
            assert "Log out admin" in page.text
            browser.site = "https://elsewhere.example"
            assert log_out(browser, page).status == 403

    def test_sessions_outlive_a_restart(self, project: Path, tmp_path: Path) -> None:
        database = tmp_path / "site.sqlite3"
        assert manage(project, database, "demo").returncode == 0
        with Site(WSGI, cwd=project, env={"SITE_DATABASE": str(database)}) as site:
            browser = Browser(site.url)
            log_in(browser)
        with Site(WSGI, cwd=project, env={"SITE_DATABASE": str(database)}) as site:
            browser.site = site.url
            assert "Log out admin" in browser.get("/").text


class TestAdmin:
    def test_it_asks_who_is_there(self, browser: Browser) -> None:
        assert browser.get("/admin/").url == f"{browser.site}/admin/login/?next=/admin/"
        page = log_in(browser, "/admin/")
        assert page.url == f"{browser.site}/admin/"
        assert "Site administration" in page.text

    def test_an_entry_is_added_and_struck_out(self, browser: Browser) -> None:
        log_in(browser)
        page = browser.submit(browser.get("/admin/guestbook/entry/add/"), name="Chas", text="Bring the guitar.")
        assert page.url == f"{browser.site}/admin/guestbook/entry/"
        assert "Bring the guitar." in Browser(browser.site).get("/book/").text
        path = page.text.partition("was added successfully")[0].rpartition('<a href="')[2].partition('"')[0]
        browser.submit(browser.get(path.replace("change", "delete")), post="yes")
        assert "Bring the guitar." not in Browser(browser.site).get("/book/").text

    def test_its_static_files_are_served_and_are_not_sent_twice(self, browser: Browser) -> None:
        style = browser.get("/static/admin/css/base.css")
        assert style.headers.get_content_type() == "text/css"
        assert style.body == (Path(django.contrib.admin.__file__).parent / "static/admin/css/base.css").read_bytes()
        again = browser.get("/static/admin/css/base.css", {"If-Modified-Since": style.headers["Last-Modified"]})
        assert (again.status, again.body) == (304, b"")


class TestSettingUp:
    def test_demo_may_be_run_again(self, project: Path, tmp_path: Path) -> None:
        count = "from guestbook.models import Entry, models; from django.contrib.auth.models import User;"
        count += " print(Entry.objects.count(), User.objects.count(), User.objects.get().check_password('changed'))"
        database = tmp_path / "site.sqlite3"
        assert manage(project, database, "demo").returncode == 0
        change = "from django.contrib.auth.models import User; u = User.objects.get(); u.set_password('changed'); u.save()"
        assert manage(project, database, "shell", "-c", change).returncode == 0
        assert manage(project, database, "demo").returncode == 0
        assert manage(project, database, "shell", "-c", count).stdout.splitlines()[-1] == "3 1 True"

    def test_demo_refuses_to_run_in_production(self, project: Path, tmp_path: Path) -> None:
        result = manage(project, tmp_path / "site.sqlite3", "demo", SITE_DEBUG="0", SITE_SECRET_KEY="of production")
        assert result.returncode == 1
        assert "it needs DEBUG" in result.stderr
        assert list(tmp_path.iterdir()) == []

    def test_production_needs_a_secret_key(self, project: Path, tmp_path: Path) -> None:
        result = manage(project, tmp_path / "site.sqlite3", "check", SITE_DEBUG="0", SITE_SECRET_KEY="")
        assert "SITE_SECRET_KEY must be set when SITE_DEBUG=0." in result.stderr
        assert list(tmp_path.iterdir()) == []

    def test_the_key_of_development_is_its_owners_alone(self, database: Path) -> None:
        assert stat.S_IMODE(database.with_suffix(".key").stat().st_mode) == 0o600
        assert len(list(database.parent.glob("site.key*"))) == 1

    def test_the_migrations_are_complete(self, project: Path, tmp_path: Path) -> None:
        assert manage(project, tmp_path / "site.sqlite3", "makemigrations", "--check").returncode == 0

    @pytest.mark.parametrize("arguments", [[], ["--settings=mysite.settings"]], ids=["manage.py", "settings"])
    def test_the_project_is_found_without_naming_its_application(self, project: Path, database: Path, arguments: list[str]) -> None:
        with Site(None, *arguments, cwd=project, env={"SITE_DATABASE": str(database)}) as site:
            assert "Guest book" in Browser(site.url).get("/book/").text

    def test_in_production_the_pages_are_served_and_nothing_is_told(self, project: Path, database: Path) -> None:
        production = {"SITE_DATABASE": str(database), "SITE_DEBUG": "0", "SITE_SECRET_KEY": "of production"}
        with Site(WSGI, cwd=project, env=production) as site:
            browser = Browser(site.url)
            assert "Guest book" in browser.get("/book/").text
            assert browser.get("/static/guestbook/site.css").status == 404
            assert "DEBUG" not in browser.get("/nowhere/").text
