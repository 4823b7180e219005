"""Where each page is. In development the static files of the site and the admin are served too."""

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import include, path

urlpatterns = [
    path("", include("guestbook.urls")),
    path("admin/", admin.site.urls),
    *staticfiles_urlpatterns(),  # none when DEBUG is off
]
