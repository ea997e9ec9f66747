"""A ROS 2 domain that nobody on this machine uses, so that runs do not disturb each other."""

import random
import socket

# The domains whose ports lie below the range that Linux gives to clients (REP-free, from DDS:
# the first participant of domain d listens for discovery on port 7400 + 250 d + 10).
DOMAINS = range(1, 102)
FIRST_PORT = 7400 + 10
PORTS_PER_DOMAIN = 250


def free_domain() -> int:
    """Return the id of a domain in which no participant runs on this machine."""
    for domain in random.sample(DOMAINS, len(DOMAINS)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(('', FIRST_PORT + PORTS_PER_DOMAIN * domain))
            except OSError:
                continue
            return domain
    raise RuntimeError('every ROS domain from 1 to 101 is in use on this machine')


if __name__ == '__main__':
    print(free_domain())
