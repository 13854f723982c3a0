
import django.db.models.deletion
import leek.database
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='QueuedTasks',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=255, verbose_name='name')),
                ('payload', models.TextField(verbose_name='payload')),
                ('queue', models.CharField(default='default', max_length=100, verbose_name='queue')),
                ('priority', models.SmallIntegerField(default=0, verbose_name='priority')),
                ('state', models.PositiveSmallIntegerField(choices=[(0, 'ready'), (1, 'deferred'), (2, 'running'), (3, 'successful'), (4, 'failed')], default=0, verbose_name='state')),
                ('run_after', models.DateTimeField(verbose_name='run after')),
                ('tries', models.PositiveIntegerField(default=0, verbose_name='tries')),
                ('crashes', models.PositiveIntegerField(default=0, verbose_name='crashes')),
                ('parked_since', models.DateTimeField(null=True, verbose_name='parked since')),
                ('suspect', models.BooleanField(default=False, verbose_name='suspect')),
                ('claim', models.BigIntegerField(default=0, verbose_name='claim')),
                ('unique_key', models.CharField(max_length=255, null=True, unique=True, verbose_name='unique key')),
                ('pushed_at', models.DateTimeField(verbose_name='pushed at')),
            ],
            options={
                'verbose_name': 'task',
                'verbose_name_plural': 'tasks',
            },
        ),
        migrations.CreateModel(
            name='Servers',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('boot', models.UUIDField(unique=True, verbose_name='boot')),
                ('host', models.CharField(max_length=255, verbose_name='host')),
                ('hostname', models.CharField(max_length=255, verbose_name='host name')),
                ('address', models.CharField(max_length=255, verbose_name='address')),
                ('port', models.PositiveIntegerField(verbose_name='port')),
                ('pid', models.PositiveIntegerField(verbose_name='process id')),
                ('workers', models.PositiveIntegerField(verbose_name='workers')),
                ('queues', models.JSONField(null=True, verbose_name='queues')),
                ('started_at', models.DateTimeField(verbose_name='started at')),
                ('expires_at', models.DateTimeField(verbose_name='expires at')),
            ],
            options={
                'verbose_name': 'server',
                'verbose_name_plural': 'servers',
            },
        ),
        migrations.CreateModel(
            name='FailedTasks',
            fields=[
                ('task', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='failure', serialize=False, to='leek.queuedtasks', verbose_name='task')),
                ('exception_type', models.CharField(max_length=255, verbose_name='exception type')),
                ('exception_message', models.TextField(verbose_name='exception message')),
                ('traceback', models.TextField(verbose_name='traceback')),
                ('unique_key', models.CharField(max_length=255, null=True, verbose_name='unique key')),
                ('started_at', models.DateTimeField(verbose_name='started at')),
                ('finished_at', models.DateTimeField(verbose_name='finished at')),
            ],
            options={
                'verbose_name': 'failed task',
                'verbose_name_plural': 'failed tasks',
            },
        ),
        migrations.CreateModel(
            name='SuccessTasks',
            fields=[
                ('task', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='success', serialize=False, to='leek.queuedtasks', verbose_name='task')),
                ('result', models.TextField(null=True, verbose_name='result')),
                ('started_at', models.DateTimeField(verbose_name='started at')),
                ('finished_at', models.DateTimeField(verbose_name='finished at')),
            ],
            options={
                'verbose_name': 'successful task',
                'verbose_name_plural': 'successful tasks',
            },
        ),
        migrations.AddField(
            model_name='queuedtasks',
            name='owner',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, to='leek.servers', verbose_name='owner'),
        ),
        migrations.AddIndex(
            model_name='queuedtasks',
            index=leek.database.StateIndex(fields=['state', '-priority', 'id'], name='leek_ready', state=0),
        ),
        migrations.AddIndex(
            model_name='queuedtasks',
            index=leek.database.StateIndex(fields=['state', 'run_after'], name='leek_deferred', state=1),
        ),
        migrations.AddIndex(
            model_name='queuedtasks',
            index=leek.database.StateIndex(fields=['state', 'owner'], name='leek_running', state=2),
        ),
    ]
