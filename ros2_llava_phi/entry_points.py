"""The commands that are installed: what one lacks is said in one line, with exit code 2."""

import sys

from .requirements import run_main


def llava_phi() -> int:
    """Run the command `llava-phi`."""
    return run_main('llava-phi', 'ros2_llava_phi.cli.main')


def replay() -> int:
    """Run the verb replay as a command of its own: `ros2 run llava_phi replay`."""
    sys.argv.insert(1, 'replay')
    return llava_phi()


def vqa_node() -> int:
    """Run the node."""
    return run_main('vqa_node', 'ros2_llava_phi.node.main')
