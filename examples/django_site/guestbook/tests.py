"""The tests of the site, for ``python manage.py test``: what a view leaves for after its response runs when the response is closed."""

from django.core import mail
from django.test import TestCase

from guestbook.models import Entry
from hendrix.testing import AsyncTestMixin, held_traffic

ENTRY = {"name": "Mitch", "text": "Bring the drums."}


class SigningTest(TestCase):
    """Sign the book."""

    def test_the_host_gets_an_email(self) -> None:
        """Tasks run by themselves under the test client."""
        response = self.client.post("/book/", ENTRY)
        self.assertRedirects(response, "/book/")
        self.assertEqual(Entry.objects.get().text, "Bring the drums.")
        self.assertEqual([(each.subject, each.to) for each in mail.outbox], [("Mitch has signed the guest book", ["host@localhost"])])

    def test_nobody_hears_of_what_was_sent_back(self) -> None:
        """A form with errors queues nothing."""
        self.assertEqual(self.client.post("/book/", {"name": "Mitch"}).status_code, 400)
        self.assertEqual(mail.outbox, [])

    def test_the_mail_is_not_the_visitors_business(self) -> None:
        """Hold the tasks to see what the visitor sees, then run them as after another status."""
        with held_traffic() as traffic:
            self.client.post("/book/", ENTRY)
            self.assertEqual(mail.outbox, [])
            self.assertEqual([task.name.rpartition(".")[2] for task in traffic], ["tell_the_host"])
            traffic.run(status=500)
        self.assertEqual(mail.outbox, [])


class HeldTest(AsyncTestMixin, TestCase):
    """The same with the mixin: every test holds its tasks."""

    def test_one_task_is_queued_and_can_be_run(self) -> None:
        """Count them, take one, run it."""
        self.client.post("/book/", ENTRY)
        self.assertNumCrosstownTasks(1)
        send = self.next_task()
        self.assertEqual(mail.outbox, [])
        send()
        self.assertEqual(len(mail.outbox), 1)
        self.assertNumCrosstownTasks(0)
