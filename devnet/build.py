"""Installs the npm packages and compiles the contracts, once: later runs read the cached result."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from eth_utils.crypto import keccak

from devnet.progress import Progress

HERE = Path(__file__).parent
CACHE = HERE.parent / ".cache" / "devnet"
EXPECTED_SECONDS = {"npm": 15, "compile": 20}


class BuildFailed(Exception):
    """npm or the compiler ended with an error; the message holds its last words."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """Hold one compiled contract: creation code as hex without 0x, and where libraries must be linked."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: str
    links: dict[str, list[int]]

    def linked(self, libraries: dict[str, str]) -> str:
        """Return the creation code with library addresses put in their places (byte offsets, 20 bytes each)."""
        code = self.bytecode
        for library, places in self.links.items():
            for place in places:
                code = code[: place * 2] + libraries[library][2:] + code[place * 2 + 40 :]
        return code


Artifacts = dict[str, Artifact]


DEPLOYED = "3.6"
"""The flavour of the installed sources as they are; every other one is a file of replacements in `flavours`."""


def flavours() -> list[str]:
    """Return the protocol versions that can be built."""
    return [DEPLOYED, *sorted(path.stem for path in (HERE / "flavours").glob("*.mjs"))]


def inputs_hash(flavour: str = DEPLOYED) -> str:
    """Return a hash of everything that decides the compiled result."""
    paths = [HERE / "build.mjs", HERE / "package-lock.json", *sorted((HERE / "contracts").glob("*.sol"))]
    if flavour != DEPLOYED:
        paths.append(HERE / "flavours" / f"{flavour}.mjs")
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


async def build(progress: Progress, flavour: str = DEPLOYED) -> Artifacts:
    """Return the compiled contracts, installing and compiling what is missing; raise BuildFailed.

    Raise ValueError for a flavour that is not known.
    """
    if flavour not in flavours():
        raise ValueError(f"no flavour {flavour!r} of the protocol: known are {', '.join(flavours())}")
    target = CACHE / f"contracts-{inputs_hash(flavour)}.json"
    patches = [] if flavour == DEPLOYED else [flavour]
    async with _alone():
        await install(progress)
        if not target.exists():
            await _run("compile", ["node", str(HERE / "build.mjs"), str(target), *patches], progress)
    content: dict[str, Any] = json.loads(target.read_text())
    return {name: Artifact(name, one["abi"], one["bytecode"], one["links"]) for name, one in content.items()}


@asynccontextmanager
async def _alone() -> AsyncIterator[None]:
    """Keep other processes that build out: two installers in one folder destroy each other's work."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "build.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(0.1)
            else:
                break
        yield


async def install(progress: Progress) -> None:
    """Install the locked npm packages if they are missing or older than the lock."""
    lock, done = HERE / "package-lock.json", HERE / "node_modules" / ".devnet-lock-hash"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if done.exists() and done.read_text() == wanted:
        return
    await _run("npm", ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], progress)
    done.write_text(wanted)


def error_names(artifacts: Artifacts) -> dict[str, str]:
    """Return every custom error's name, keyed by its 0x selector."""
    names: dict[str, str] = {}
    for artifact in artifacts.values():
        for item in artifact.abi:
            if item["type"] == "error":
                signature = f"{item['name']}({','.join(one['type'] for one in item['inputs'])})"
                names["0x" + keccak(text=signature)[:4].hex()] = item["name"]
    return names


async def _run(stage: str, command: list[str], progress: Progress) -> None:
    """Run a command in devnet/, reporting seconds gone against seconds expected."""
    program = shutil.which(command[0])
    if program is None:
        raise BuildFailed(f"{command[0]} is not installed: Node 20 or newer is needed")
    process = await asyncio.create_subprocess_exec(
        program, *command[1:], cwd=HERE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    started, expected = monotonic(), EXPECTED_SECONDS[stage]
    talk = asyncio.ensure_future(process.communicate())
    try:
        while not (await asyncio.wait([talk], timeout=0.5))[0]:
            progress(stage, min(int(monotonic() - started), expected - 1), expected)
    finally:
        if process.returncode is None and not talk.done():
            process.kill()
    output, _ = await talk
    if process.returncode != 0:
        raise BuildFailed(f"{' '.join(command)}: {output.decode(errors='replace')[-2000:]}")
    progress(stage, expected, expected)
