"""The two ways to see leek at work."""

from collections.abc import Callable

from demo.hundred import deliver, verify
from demo.running import StopRequested, running_demo


def page(say: Callable[[str], object]) -> None:
    """Serve the page until Ctrl-C or SIGTERM, and tell of each mail that arrives."""
    try:
        with running_demo(say) as demo:
            demo.start_leek_server(queue="default")
            demo.start_site()
            say("Push a task on the page. Ctrl-C stops everything.")
            for happening in demo.happenings():
                say(str(happening))
    except StopRequested as reason:
        say(f"{reason} Site, leek_server and mail sink have ended.")


def hundred_mails(say: Callable[[str], object]) -> None:
    """Send a hundred mails through leek, and raise unless all have arrived."""
    with running_demo(say) as demo:
        delivery = deliver(demo)
    verify(delivery, demo.sink.mails)
    say(delivery.summary())
