"""The site's backfills."""

from django.db.models import QuerySet
from django.utils.text import slugify
from maintenance_tasks import MaintenanceTask

from tests.packages.site.models import Note, Post
from tests.site.tasks import wait_for


class BackfillSlugs(MaintenanceTask):
    """Fill in the slugs of posts; wait for the file that is told, at the post that is told."""

    batch_size = 2

    def collection(self) -> QuerySet[Post]:
        """Return all posts."""
        return Post.objects.all()

    def process(self, post: Post) -> None:
        """Fill in the slug of a post."""
        if post.title == self.arguments.get("wait_at"):
            wait_for(self.arguments["gate"])
        if post.title == self.arguments.get("fail_at"):
            raise ValueError(post.title)
        post.slug = slugify(post.title)
        post.save(update_fields=["slug"])
        Note.objects.create(text=f"slug of {post.title}")


class BackfillLater(BackfillSlugs):
    """The same, when the database is less busy; that is so once it was asked."""

    throttle_backoff = 0.5

    def throttle(self) -> bool:
        """Tell the package to back off the first time."""
        return Note.objects.get_or_create(text="asked")[1]


class BackfillTomorrow(BackfillSlugs):
    """The same, but the database is busy all day."""

    throttle_backoff = 86_400

    def throttle(self) -> bool:
        """Tell the package to back off."""
        return True
