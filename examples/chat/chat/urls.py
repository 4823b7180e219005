"""The pages."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from chat import views

urlpatterns = [
    path("", views.front, name="front"),
    path("rooms/", views.rooms, name="rooms"),
    path("rooms/<slug:slug>/", views.room, name="room"),
    path("rooms/<slug:slug>/live", views.connect, name="connect"),
    path("rooms/<slug:slug>/say", views.say, name="say"),
    path("rooms/<slug:slug>/messages", views.messages, name="messages"),
    path("login/", LoginView.as_view(template_name="chat/login.html", redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]
