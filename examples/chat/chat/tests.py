"""Tests of the connections, without a server: who is let in, and what comes of what they say."""

import json
from typing import Any
from uuid import uuid4

from django.contrib.auth import get_user_model
from django.test import TestCase
from django.urls import reverse

from chat.models import Message, Room
from hendrix.testing import held_connections


class LiveTest(TestCase):
    def setUp(self) -> None:
        self.room, _ = Room.objects.get_or_create(slug="lobby", name="Lobby")
        self.jimi = get_user_model().objects.create_user("jimi", password="experience")
        self.client.force_login(self.jimi)
        self.live = reverse("connect", args=["lobby"])

    def test_who_comes_hears_who_is_here(self) -> None:
        with held_connections() as held:
            ws = held.open(self.client.get(self.live))
            self.assertEqual(ws.sent, [{"here": ["jimi"]}])
            self.assertIn("chat.lobby", ws.topics)

    def test_what_is_said_is_kept_and_heard(self) -> None:
        with held_connections() as held:
            ws = held.open(self.client.get(self.live))
            said: dict[str, Any] = {"text": "Hello", "key": str(uuid4())}
            ws.receive(said)
            ws.receive(json.dumps(said))  # it comes again, and is kept once
            self.assertEqual([message.text for message in Message.objects.all()], ["Hello"])
            self.assertEqual([event.payload["who"] for event in ws.events if event.topic == "chat.lobby"], ["jimi", "jimi"])

    def test_nonsense_ends_it(self) -> None:
        with held_connections() as held:
            ws = held.open(self.client.get(self.live))
            ws.receive("no JSON")
            self.assertEqual((ws.closed, ws.reason), (4400, "that is no JSON object"))

    def test_who_logs_out_leaves(self) -> None:
        with held_connections() as held:
            ws = held.open(self.client.get(self.live))
            self.client.post(reverse("logout"))
            self.assertEqual((ws.closed, ws.reason), (1008, "logged out"))

    def test_who_is_not_logged_in_is_told(self) -> None:
        with held_connections() as held:
            self.assertEqual(held.open(self.client_class().get(self.live)).closed, 4401)
