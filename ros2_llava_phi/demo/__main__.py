"""`python -m ros2_llava_phi.demo`: what it lacks is said in one line, with exit code 2."""

import sys

from ros2_llava_phi.requirements import run_main

if __name__ == '__main__':
    sys.exit(run_main('demo', 'ros2_llava_phi.demo.main'))
