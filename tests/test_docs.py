"""The code blocks of README and docs: each runs, or says in the source of its page why not.

`<!-- skip: next "why" -->` stands before a block that is not run, and
`<!-- skip: next if(CONDITION, "why") -->` before one that is not run everywhere. Of the names in a
condition, `quick` is whether this is the quick tier, `has(MODULE)` whether there is such a module.
The blocks of a page run one after another in one folder, as a reader would run them.
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

import pytest
import typer.main
from PIL import Image
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

from ros2_llava_phi.bags.recording import Recording
from ros2_llava_phi.cli.main import app
from ros2_llava_phi.files.yaml_file import read_yaml
from ros2_llava_phi.replay.read_questions import read_questions
from ros2_llava_phi.training.recipe import read_recipe

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'benchmarks/README.md')),
    *sorted((ROOT / 'docs').glob('*.md')),
]
PAGES_WITH_SLOW_BLOCKS = [page for page in PAGES if 'skip: next if(quick' in page.read_text()]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
BLOCK = re.compile(r'^ *```(\w+)\n(.*?)^ *```$', re.MULTILINE | re.DOTALL)
LANGUAGES = {'python', 'sh', 'yaml', 'json', 'text'}


def run_shell(example: Example) -> None:
    """Run the lines in bash, in the current folder."""
    command = f'set -euo pipefail\n{example.parsed}'
    done = subprocess.run(
        command,
        shell=True,
        executable='/bin/bash',
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f'{example.parsed}\n{done.stdout}'


def check_yaml(example: Example) -> None:
    """Read a block as the file of which it is an example."""
    # The sentence before it may say what file it is.
    named = re.search(r'`(\S+\.yaml)`:\n+$', example.document.text[: example.start])
    file = Path(named[1] if named else 'block.yaml')
    file.parent.mkdir(exist_ok=True)
    file.write_text(example.parsed)
    content = read_yaml(file)
    if 'questions' in content:
        read_questions(file)
    elif 'data' in content:
        if 'stage' not in content:
            # A part of a recipe has the rest from one that ships.
            whole = read_yaml(ROOT / 'config' / 'train' / 'cpu.yaml')
            # YAML can be written as JSON.
            file.write_text(json.dumps({**whole, **content}))
        read_recipe(file)
    else:
        raise AssertionError(f'what reads a file with {", ".join(content)}?')


def check_json(example: Example) -> None:
    json.loads(example.parsed)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of a reader's the current one: the checkout's, with a photo."""
    for name in ('config', 'ros2_llava_phi', 'tiny', 'training'):
        (tmp_path / name).symlink_to(ROOT / name)
    frames = Recording(ROOT / 'ros2_llava_phi' / 'data' / 'drive').frames()
    Image.fromarray(next(frames).frame().image).save(tmp_path / 'photo.jpg')
    commands = {'python': '', 'llava-phi': '-m ros2_llava_phi.cli.main'}
    (tmp_path / 'bin').mkdir()
    for name, arguments in commands.items():
        command = tmp_path / 'bin' / name
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        command.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}:{os.environ["PATH"]}')
    monkeypatch.setenv('PYTHONPATH', f'{ROOT}:{os.environ.get("PYTHONPATH", "")}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_blocks(page: Path, **names: Any) -> None:
    """Run the blocks of a page, one after another; skip the test if none of them is run."""
    document = Document.parse(
        str(page),
        SkipParser(),
        PythonCodeBlockParser(),
        CodeBlockParser('sh', run_shell),
        CodeBlockParser('yaml', check_yaml),
        CodeBlockParser('json', check_json),
    )
    document.namespace.update(names, has=lambda name: importlib.util.find_spec(name) is not None)
    ran, reasons = 0, []
    for example in document.examples():
        try:
            example.evaluate()
        except unittest.SkipTest as skipped:
            reasons.append(f'line {example.line}: {skipped}')
        else:
            ran += 'source' in example.region.lexemes
    if reasons and not ran:
        pytest.skip('; '.join(reasons))


@pytest.mark.parametrize('page', PAGES, ids=NAMES)
@pytest.mark.usefixtures('folder')
def test_code_blocks_run(page: Path) -> None:
    run_blocks(page, quick=True)


@pytest.mark.slow
@pytest.mark.parametrize('page', PAGES_WITH_SLOW_BLOCKS, ids=lambda page: page.name)
@pytest.mark.usefixtures('folder')
def test_slow_code_blocks_run(page: Path) -> None:
    run_blocks(page, quick=False)


@pytest.mark.parametrize('page', PAGES, ids=NAMES)
def test_every_code_block_names_its_language(page: Path) -> None:
    text = page.read_text()
    assert text.count('```') == 2 * len(BLOCK.findall(text))
    assert {language for language, _ in BLOCK.findall(text)} <= LANGUAGES
    # An indented block would be missed; list items may go on in indented lines.
    assert not re.search(r'\n\n {4}(?![-*\d])', BLOCK.sub('', text))


def command_lines(page: Path) -> list[list[str]]:
    """Return the words of each command in the shell blocks of a page."""
    blocks = [source for language, source in BLOCK.findall(page.read_text()) if language == 'sh']
    lines = '\n'.join(blocks).replace('\\\n', ' ').splitlines()
    split = (shlex.split(part, comments=True) for line in lines for part in line.split(' && '))
    return [words for words in split if words]


@pytest.mark.parametrize('page', PAGES, ids=NAMES)
def test_what_the_commands_name_exists(page: Path) -> None:
    verbs = typer.main.get_group(app).commands
    targets = re.findall(r'^([a-z]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    for words in command_lines(page):
        if words[0] == 'make':
            assert words[1] in targets, words
        for word in words:
            if word.endswith('.py') and '/' in word:
                assert (ROOT / word).exists(), words
        if words[:4] == ['ros2', 'run', 'llava_phi', 'replay']:
            words = ['llava-phi', *words[3:]]
        if words[0] == 'llava-phi':
            known = {name for each in verbs[words[1]].params for name in each.opts}
            known |= {name for each in verbs[words[1]].params for name in each.secondary_opts}
            given = {word.partition('=')[0] for word in words[2:] if word.startswith('-')}
            assert given <= known, words
