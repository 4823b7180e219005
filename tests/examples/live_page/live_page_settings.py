"""The Django example, with one page more: what its siblings say."""

from mysite.settings import *  # noqa: F403

ROOT_URLCONF = "live_page_urls"
