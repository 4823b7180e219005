"""The pages of the site."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from guestbook import views

urlpatterns = [
    path("", views.front, name="front"),
    path("book/", views.book, name="book"),
    path("book/sign/", views.book, {"template": "guestbook/sign.html"}, name="sign"),
    path("upload/", views.upload, name="upload"),
    path("live/", views.live, name="live"),
    path("login/", LoginView.as_view(template_name="guestbook/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
