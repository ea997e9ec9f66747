"""What the benchmarks share: the node they measure, the machine they run on, how they report."""

import argparse
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from rclpy.utilities import get_rmw_implementation_identifier
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ros2_llava_phi.engine.cpu_threads import cpu_threads

# Seconds to wait for the node to become active, and for one response.
PATIENCE_S = 120.0

# Narrower terminals wrap what is printed.
WIDTH = 140

Row = Mapping[str, float | str]


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--model', default='llava-phi-tiny', help='folder or name [%(default)s]')
    parser.add_argument('--json', type=Path, help='write machine and figures to this file, too')
    return parser


def machine() -> dict[str, str]:
    """Describe the machine, and what was running on it already."""
    cores = [
        line.split(':')[1].strip()
        for line in Path('/proc/cpuinfo').read_text().splitlines()
        if line.startswith('model name')
    ]
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return {
        'processor': f'{len(cores)} x {cores[0]}' if cores else platform.machine(),
        'threads of an engine': str(cpu_threads()),
        'memory': f'{memory / 2**30:.0f} GiB',
        'system': f'{platform.system()} {platform.release()}',
        'python': platform.python_version(),
        'ros': f'rclpy {version("rclpy")}, {get_rmw_implementation_identifier()}',
        'load average before': f'{os.getloadavg()[0]:.1f}',
    }


def report(title: str, rows: Sequence[Row], file: Path | None) -> None:
    """Print the figures as a table, and write them to a JSON file if one is named."""
    console = Console()
    console.width = max(console.width, WIDTH)
    about = machine()
    console.print(' · '.join(f'{name}: {value}' for name, value in about.items()), highlight=False)
    table = Table(title=title, title_justify='left')
    for name in rows[0]:
        table.add_column(
            escape(name), justify='left' if isinstance(rows[0][name], str) else 'right'
        )
    for row in rows:
        table.add_row(*(each if isinstance(each, str) else f'{each:.1f}' for each in row.values()))
    console.print(table)
    if file is not None:
        figures = {'title': title, 'machine': about, 'rows': [dict(row) for row in rows]}
        file.write_text(json.dumps(figures, indent=2) + '\n')


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the 99th percentile and the largest of some figures."""
    ordered = sorted(values)
    return {
        'median': statistics.median(ordered),
        'p99': ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        'max': ordered[-1],
    }


@dataclass(frozen=True)
class Usage:
    """What a process has used so far: CPU seconds, and resident memory now and at most in MiB."""

    cpu_s: float
    memory_mib: float
    most_memory_mib: float


def usage(process: 'subprocess.Popen[str]') -> Usage:
    """Return what a process has used, by Linux's own account (proc(5))."""
    folder = Path('/proc', str(process.pid))
    # The process's name, in parentheses, may hold spaces; the times are fields 14 and 15.
    fields = (folder / 'stat').read_text().rpartition(')')[2].split()
    ticks = int(fields[11]) + int(fields[12])
    status = dict(
        line.split(':', 1) for line in (folder / 'status').read_text().splitlines() if ':' in line
    )
    return Usage(
        cpu_s=ticks / os.sysconf('SC_CLK_TCK'),
        memory_mib=int(status['VmRSS'].split()[0]) / 1024,
        most_memory_mib=int(status['VmHWM'].split()[0]) / 1024,
    )
