"""The node itself: starts anvil from the npm package, waits for it, stops it, leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from devnet.rpc import Rpc, RpcError

CHAIN_ID = 31337
HOST = "127.0.0.1"
MOST_STATES, FEWEST_STATES = 256, 16
STATES_TIMES_BORROWERS = 256_000
"""A kept block state is a whole copy, 1.3 MB per 1,000 borrowers: the larger the crowd, the fewer are kept."""
START_SECONDS = 20.0
STOP_SECONDS = 5.0

_PACKAGES = Path(__file__).parent / "node_modules" / "@foundry-rs"
_CPU = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


class AnvilFailed(Exception):
    """anvil is not installed, or ended before it answered; the message holds its last words."""


def binary() -> Path:
    """Return the anvil that npm installed for this machine."""
    system, cpu = platform.system().lower(), _CPU.get(platform.machine().lower(), platform.machine())
    suffix = ".exe" if system == "windows" else ""
    path = _PACKAGES / f"anvil-{'win32' if suffix else system}-{cpu}" / "bin" / f"anvil{suffix}"
    if not path.exists():
        raise AnvilFailed(f"no anvil for {system} on {cpu}: run `npm ci` in devnet/")
    return path


def states_to_keep(borrowers: int) -> int:
    """Return how many of the last blocks can be read by number; 128 (25 s at 200 ms) for 2,000 borrowers."""
    return max(FEWEST_STATES, min(MOST_STATES, STATES_TIMES_BORROWERS // max(borrowers, 1)))


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _answering(port: int) -> bool:
    """Return whether somebody listens on a port; another node there would answer in ours' place."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@dataclass(slots=True)
class Anvil:
    """Hold one running node."""

    port: int
    _process: asyncio.subprocess.Process
    _folder: Path

    @property
    def http_url(self) -> str:
        """The node's JSON-RPC over HTTP."""
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The node's JSON-RPC over WebSocket, on the same port."""
        return f"ws://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The node's process id."""
        return self._process.pid

    @classmethod
    async def start(cls, port: int = 0, kept_states: int = MOST_STATES) -> Anvil:
        """Start a node that mines a block per transaction; raise AnvilFailed if it does not answer in 20 s."""
        if port and _answering(port):
            raise AnvilFailed(f"port {port} of {HOST} is taken: choose another, or 0 for any free one")
        folder = Path(tempfile.mkdtemp(prefix="devnet-anvil-"))
        port = port or free_port()
        with (folder / "anvil.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *_command(port, folder, kept_states),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to hear; the node is ended last, in order
            )
        node = cls(port, process, folder)
        try:
            await asyncio.wait_for(node._answers(), START_SECONDS)
        except TimeoutError:
            await node.stop()
            raise AnvilFailed(f"anvil did not answer on port {port} in {START_SECONDS:.0f} s") from None
        except BaseException:
            await node.stop()
            raise
        return node

    async def stop(self) -> None:
        """End the process and remove its folder; safe to call twice."""
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def _answers(self) -> None:
        rpc = Rpc(self.http_url)
        try:
            while True:
                if self._process.returncode is not None:
                    words = (self._folder / "anvil.log").read_text(errors="replace")[-500:]
                    raise AnvilFailed(f"anvil ended with status {self._process.returncode}: {words.strip()}")
                try:
                    if int(await rpc.request("eth_chainId"), 16) == CHAIN_ID:
                        return
                except (aiohttp.ClientError, RpcError):
                    await asyncio.sleep(0.02)
        finally:
            await rpc.close()


def _command(port: int, folder: Path, kept_states: int) -> list[str]:
    words = [str(binary()), "--host", HOST, "--port", str(port), "--chain-id", str(CHAIN_ID), "--quiet"]
    words += ["--prune-history", str(kept_states), "--cache-path", str(folder / "states")]
    words += ["--gas-limit", "1000000000", "--no-request-size-limit", "--auto-impersonate", "--accounts", "4"]
    if guard := shutil.which("setpriv"):
        # An orphan would mine for ever if we are killed without a chance to stop it.
        words = [guard, "--pdeathsig", "KILL", *words]
    return words


class Ticker:
    """Mine a block at a steady beat.

    anvil's own `--block-time` keeps the states of 1,500 blocks whatever it is told to keep: 4 GB at 2,000 borrowers.
    The base fee is left to sink to 7 wei: setting it before each block makes anvil's pool lose transactions.
    """

    def __init__(self, rpc: Rpc, seconds: float) -> None:
        self._rpc = rpc
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None
        self.late = 0
        """Beats that were skipped because the node, or this process, was busy for longer than one."""

    async def start(self) -> None:
        """Stop mining a block per transaction and start the beat."""
        await self._rpc.request("evm_setAutomine", False)
        self._task = asyncio.create_task(self._run(), name="devnet-ticker")

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The running beat; it ends by itself only with an error."""
        return self._task

    async def stop(self) -> None:
        """End the beat; raise what had ended it before, if something had."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            due += self._seconds
            await asyncio.sleep(max(0.0, due - clock()))
            await self._rpc.request("evm_mine")
            if (behind := int((clock() - due) / self._seconds)) > 0:
                self.late += behind
                due += behind * self._seconds
