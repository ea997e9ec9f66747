"""How many threads an engine takes on a CPU."""

import os
from pathlib import Path

# From so many cores up, one is left to the rest of the robot.
ENOUGH_CORES = 4
TOPOLOGY = Path('/sys/devices/system/cpu')
PROCESS, CGROUPS = Path('/proc/self/cgroup'), Path('/sys/fs/cgroup')


def cpu_threads(asked: int = 0) -> int:
    """
    Return the number of threads: what is asked for, or for 0 what suits the process.

    That is one for each core that the process may use, but for one core where there are four or
    more: a model that takes them all keeps cameras and control waiting.
    """
    if asked:
        return asked
    cores = usable_cores()
    return cores - 1 if cores >= ENOUGH_CORES else cores


def usable_cores() -> int:
    """
    Return on how many cores the process may run, at least 1.

    Its affinity (`taskset`, cpusets) and its share of processor time (a container's `--cpus`, a
    service's CPUQuota) both count; two hardware threads of one core are one.
    """
    allowed = os.sched_getaffinity(0)
    # Python 3.13 lets its user say so, too: PYTHON_CPU_COUNT.
    counted = getattr(os, 'process_cpu_count', lambda: None)() or len(allowed)
    cores = min(counted, len({_core_of(cpu) for cpu in allowed}))
    return max(1, min(cores, int(min(cpu_quota(), cores))))


def cpu_quota(process: Path = PROCESS, cgroups: Path = CGROUPS) -> float:
    """
    Return how many cores' time the control groups of a process allow; infinity if any.

    Read as in https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max), and as version 1 has
    it (cpu.cfs_quota_us); a group has no more than the groups around it.
    """
    quotas = [float('inf')]
    for line in _text(process).splitlines():
        number, controllers, group = line.split(':', 2)
        if number == '0':
            roots = [cgroups, cgroups / 'unified']
        elif 'cpu' in controllers.split(','):
            roots = [cgroups / controllers, cgroups / 'cpu']
        else:
            continue
        for root in roots:
            inner = root / group.lstrip('/')
            for folder in (inner, *inner.parents):
                if folder.is_relative_to(root):
                    quotas.append(_quota(folder))
    return min(quotas)


def _quota(folder: Path) -> float:
    words = _text(folder / 'cpu.max').split() or [
        *_text(folder / 'cpu.cfs_quota_us').split(),
        *_text(folder / 'cpu.cfs_period_us').split(),
    ]
    if len(words) != 2 or not all(word.isdigit() for word in words) or not int(words[1]):
        return float('inf')  # 'max', -1, or no such file
    return int(words[0]) / int(words[1])


def _core_of(cpu: int) -> str:
    return _text(TOPOLOGY / f'cpu{cpu}' / 'topology' / 'thread_siblings_list') or str(cpu)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ''
