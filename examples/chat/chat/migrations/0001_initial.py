"""The tables of the chat."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

KEY = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    """Create them."""

    initial = True
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(
            name="Room",
            fields=[
                ("id", KEY.clone()),
                ("slug", models.SlugField(max_length=40, unique=True)),
                ("name", models.CharField(max_length=40)),
                ("about", models.CharField(blank=True, max_length=120)),
            ],
            options={"ordering": ["pk"]},
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                ("id", KEY.clone()),
                ("key", models.UUIDField()),
                ("text", models.TextField(max_length=2000)),
                ("at", models.DateTimeField(auto_now_add=True)),
                ("author", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
                ("room", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="messages", to="chat.room")),
            ],
            options={"ordering": ["pk"], "constraints": [models.UniqueConstraint(fields=("author", "key"), name="said_once")]},
        ),
        migrations.CreateModel(
            name="Mark",
            fields=[
                ("id", KEY.clone()),
                ("message", models.PositiveBigIntegerField(default=0)),
                ("user", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
                ("room", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="chat.room")),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("room", "user"), name="one_mark")]},
        ),
    ]
