"""Where the views are."""

from django.urls import path

from ledger import views

urlpatterns = [
    path("probe/", views.probe),
    path("order/", views.order),
    path("lines/", views.lines),
    path("said/", views.said),
    path("enqueue/", views.enqueue),
    path("result/<str:result_id>/", views.result),
]
