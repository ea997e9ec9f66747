"""A ROS 2 domain that nobody on this machine uses, so that runs do not disturb each other."""

import contextlib
import random
import socket
from collections.abc import Iterator

# The domains whose ports lie below the range that Linux gives to clients (REP-free, from DDS:
# the first participant of domain d listens for discovery on port 7400 + 250 d + 10).
DOMAINS = range(1, 102)
FIRST_PORT = 7400 + 10
PORTS_PER_DOMAIN = 250


def free_domain() -> int:
    """Return the id of a domain in which no participant runs on this machine."""
    with own_domain() as domain:
        return domain


@contextlib.contextmanager
def own_domain() -> Iterator[int]:
    """Give the id of such a domain, which nobody else is given meanwhile."""
    for domain in random.sample(DOMAINS, len(DOMAINS)):
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe,
        ):
            try:
                # A name that is no file, and that is gone with the process.
                claim.bind(f'\0ros_domain_{domain}')
                probe.bind(('', FIRST_PORT + PORTS_PER_DOMAIN * domain))
            except OSError:
                continue
            probe.close()
            yield domain
            return
    raise RuntimeError('every ROS domain from 1 to 101 is in use on this machine')


if __name__ == '__main__':
    print(free_domain())
