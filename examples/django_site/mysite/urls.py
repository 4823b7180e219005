"""Where each page is. In development the static files of the site and the admin are served too."""

from django.contrib import admin
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", include("guestbook.urls")),
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=static("guestbook/icon.svg"))),  # the admin's pages name no icon
    *staticfiles_urlpatterns(),  # none when DEBUG is off
]
