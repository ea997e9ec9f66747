"""
Hold what is used here of rclpy and launch against what each distribution of ROS 2 offers.

    tools/ros_api.py             check: a sentence and exit code 1 for each use that one lacks
    tools/ros_api.py SOURCES     write ros_api.txt, the list that is checked against, from sources

SOURCES holds a folder for each distribution, and in it, however deep, the packages of PACKAGES, as
checked out or installed. So for Humble:

    for name in rclpy launch launch_ros; do
        git clone --depth 1 --branch humble https://github.com/ros2/$name SOURCES/humble/$name
    done

The list has the names that are used here: what is imported, members of objects, and arguments by
keyword or number. Beside these it has what one distribution offers and another lacks: modules,
their names, and, as `*.member`, methods and properties that no class of the other has; none of
these may be used on an object whose class cannot be told. What a distribution lacks may be used
only in the module SEAM, within `try` with its `except`, or below `if hasattr`.

What this cannot see: names of compiled modules (what rclpy takes from C++ counts as offered);
arguments behind * and **, and those of functions that were handed around; names put together at
run time; a member of an object of unknown class that another class of every distribution has;
whether what is offered behaves alike. It reads syntax, not types: an object's class is known from
annotations, constructors and what functions are said to return.
"""

import argparse
import ast
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from python_sources import Function, Sources, own_members
from ros_uses import Use, uses

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_name('ros_api.txt')
SEAM = 'ros2_llava_phi/client/distributions.py'
PACKAGES = ('rclpy', 'launch', 'launch_ros', 'launch_testing')
# What is looked into: the package, and files that are no part of one.
OURS = ('ros2_llava_phi', 'launch/*.py', 'tests/*.py', 'benchmarks/*.py')
# Where objects of unknown class are nobody's of theirs unless a file imports something of theirs.
BESIDE = ('tests', 'benchmarks')
HEADER = """\
# What each distribution of ROS 2 offers of the names used here: see ros_api.py, which writes this.
# NAME [-> class of what it returns]: all, or the distributions that have it. Read were
"""


@dataclass
class Offers:
    """
    What distributions offer.

    read: what was read of each. names: by which each name is offered. returns: the class of what a
    function returns.
    """

    read: dict[str, str]
    names: dict[str, frozenset[str]]
    returns: dict[str, str]

    def lacking(self, name: str) -> list[str] | None:
        """Return which distributions lack a name; None: the list does not say."""
        above = name
        while above not in self.names and '.' in above.strip('*.'):
            above = above.rpartition('.')[0]
        member = f'*.{name.rpartition(".")[2]}'
        having = self.names.get(name, self.names.get(member, self.names.get(above)))
        if having is None or (name not in self.names and having == frozenset(self.read)):
            return [] if name.startswith('*.') else None
        return [distribution for distribution in self.read if distribution not in having]


def faults(found: list[Use], offers: Offers, root: Path) -> list[str]:
    """Return a sentence for each use that a distribution cannot serve."""
    sentences = []
    theirs = {use.path for use in found if not use.name.startswith('*.')}
    for use in found:
        place = use.path.relative_to(root)
        if use.name.startswith('*.') and use.path not in theirs and place.parts[0] in BESIDE:
            continue
        lacking = offers.lacking(use.name)
        what = f'no {use.name}'
        if use.name.startswith('*.'):
            what = f'no class with {use.name[2:]} (is the object none of theirs? annotate it)'
        if lacking is None:
            sentences.append(
                f'{place}:{use.line}: {use.name} is not in tools/ros_api.txt yet; write it anew: '
                '`python tools/ros_api.py SOURCES` (tools/ros_api.py says what SOURCES is)'
            )
        elif lacking and not (use.guarded and str(place) == SEAM):
            sentences.append(
                f'{place}:{use.line}: {" and ".join(lacking)} {_verb(lacking)} {what}; use what '
                f'all have, or put it into {SEAM}, within try or hasattr'
            )
    return sentences


def our_uses(root: Path, returns: Callable[[str], str | None]) -> list[Use]:
    """Return what the code below `root` uses of PACKAGES; returns: see `uses`."""
    places = {
        path.stem.replace('.', '_'): path
        for pattern in OURS
        for path in sorted(root.glob(pattern))
    }
    return uses(Sources(places), PACKAGES, returns)


def read_list(text: str) -> Offers:
    """Return what the list says."""
    read = dict(re.findall(r'^#   (\w+): (.*)$', text, re.MULTILINE))
    offers = Offers(read, {}, {})
    for line in text.splitlines():
        if not line.startswith('#'):
            named, having = line.split(': ')
            name, _, returned = named.partition(' -> ')
            offers.names[name] = frozenset(read if having == 'all' else having.split())
            if returned:
                offers.returns[name] = returned
    return offers


def write_list(offers: Offers) -> str:
    """Return the list as text."""
    lines = [f'#   {distribution}: {what}' for distribution, what in offers.read.items()]
    for name, having in sorted(offers.names.items()):
        returned = f' -> {offers.returns[name]}' if name in offers.returns else ''
        served = ' '.join(one for one in offers.read if one in having)
        lines.append(f'{name}{returned}: {"all" if len(having) == len(offers.read) else served}')
    return HEADER + '\n'.join(lines) + '\n'


def compare(root: Path, distributions: Mapping[str, Sources], read: dict[str, str]) -> Offers:
    """Return what each distribution offers of what the code below `root` uses."""
    offers = Offers(read, {}, {})

    def returns(name: str) -> str | None:
        made = (_returned(sources, name) for sources in distributions.values())
        return next(filter(None, made), None)

    for use in our_uses(root, returns):
        if not use.name.startswith('*.'):
            offers.names[use.name] = frozenset(
                name for name, sources in distributions.items() if _offers(sources, use.name)
            )
            if (returned := returns(use.name)) is not None:
                offers.returns[use.name] = returned
    everyone = frozenset(distributions)
    for name in sorted(frozenset.union(*map(_global_names, distributions.values()))):
        having = frozenset(one for one, its in distributions.items() if its.find(name) is not None)
        # Where a module is missing, what is in it is missing, too.
        if having != offers.names.get(name.rpartition('.')[0], everyone):
            offers.names[name] = having
    members = {name: _all_members(sources) for name, sources in distributions.items()}
    for name in frozenset.union(*members.values()) - frozenset.intersection(*members.values()):
        offers.names[name] = frozenset(one for one in members if name in members[one])
    return offers


def _returned(sources: Sources, name: str) -> str | None:
    """Return the class of what a function of theirs returns, if it says so."""
    found = sources.find(name)
    if found is None or found.module is None or not isinstance(found.definition, Function):
        return None
    made = sources.type_of(found.definition.returns, found.module)
    return made.name if made is not None and isinstance(made.definition, ast.ClassDef) else None


def _offers(sources: Sources, name: str) -> bool:
    base, _, argument = name.removesuffix(')').partition('(')
    found = sources.find(base)
    if not argument or found is None:
        # Where a function is missing, its arguments need no sentence of their own.
        return found is not None or bool(argument)
    taken = sources.signature(found)
    if taken is None:
        return True
    if argument.isdigit():
        return taken.any_positional or len(taken.positional) >= int(argument)
    return taken.any_keyword or argument in taken.keyword


def _global_names(sources: Sources) -> frozenset[str]:
    """Return the full names of public modules, and of what they offer beside their imports."""
    names = set()
    for module in sources.modules():
        passed_on = module.path.name == '__init__.py'
        names.add(module.name)
        for name, definition in module.names.items():
            found = sources.find(f'{module.name}.{name}')
            defined = found is not None and not (isinstance(definition, str) and not passed_on)
            if defined and found is not None and found.name.split('.')[0] in PACKAGES:
                names.add(f'{module.name}.{name}')
    return frozenset(name for name in names if '._' not in name)


def _all_members(sources: Sources) -> frozenset[str]:
    """Return, as `*.member`, the names of all public methods and properties of all classes."""
    return frozenset(
        f'*.{name}'
        for module in sources.modules()
        for definition in module.names.values()
        if isinstance(definition, ast.ClassDef)
        for name, member in own_members(definition).items()
        if isinstance(member, Function) and not name.startswith('_')
    )


def _packages(folder: Path) -> dict[str, Path]:
    """Return where the packages of a distribution are."""
    places = {}
    for package in PACKAGES:
        found = [one.parent for one in folder.rglob(f'{package}/__init__.py')]
        if not found:
            raise SystemExit(f'ros_api: there is no package {package} below {folder}')
        places[package] = min(found, key=lambda path: len(path.parts))
    return places


def _read(package: str, folder: Path) -> str:
    """Return version, commit and date of a package's sources."""
    beside = folder.parent / 'package.xml'
    installed = [above / 'share' / package / 'package.xml' for above in folder.parents]
    manifest = next((path for path in (beside, *installed) if path.is_file()), None)
    version = re.search('<version>(.*?)</version>', manifest.read_text()) if manifest else None
    command = ['git', '-C', str(folder), 'log', '-1', '--format= (%h of %cs)']
    commit = subprocess.run(command, capture_output=True, text=True).stdout.rstrip()
    return f'{package} {version[1] if version else "?"}{commit}'


def _verb(names: list[str]) -> str:
    return 'has' if len(names) == 1 else 'have'


def main(arguments: list[str] | None = None) -> int:
    """Check, or write the list."""
    parser = argparse.ArgumentParser(description='What is used of ROS 2, and who offers it.')
    parser.add_argument('sources', type=Path, nargs='?', metavar='SOURCES')
    folder: Path | None = parser.parse_args(arguments).sources
    if folder is not None:
        places = {one.name: _packages(one) for one in sorted(folder.iterdir()) if one.is_dir()}
        distributions = {name: Sources(packages) for name, packages in places.items()}
        read = {
            name: ', '.join(_read(package, path) for package, path in packages.items())
            for name, packages in places.items()
        }
        LIST.write_text(write_list(compare(ROOT, distributions, read)))
    offers = read_list(LIST.read_text())
    sentences = faults(our_uses(ROOT, offers.returns.get), offers, ROOT)
    print(*sentences, sep='\n', end='\n' if sentences else '')
    return 1 if sentences else 0


if __name__ == '__main__':
    sys.exit(main())
