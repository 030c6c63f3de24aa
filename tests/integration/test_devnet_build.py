"""Every flavour of the protocol is built from the installed sources, or the build says what is in its way."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from devnet.build import HERE, Artifacts, build, flavours, inputs_hash
from devnet.progress import silent


async def test_a_flavour_must_be_known() -> None:
    with pytest.raises(ValueError, match=r"no flavour '4\.0' of the protocol: known are 3\.6, 3\.7"):
        await build(silent, "4.0")


async def test_each_flavour_is_cached_apart_and_differs(built: Artifacts) -> None:
    newer = await build(silent, "3.7")
    assert len({inputs_hash(one) for one in flavours()}) == 2
    assert newer.keys() == built.keys()
    assert newer["LiquidationLogic"].bytecode != built["LiquidationLogic"].bytecode
    for untouched in ("ATokenInstance", "AaveOracle", "DualAggregator", "UniswapV3Pool"):
        assert newer[untouched].bytecode == built[untouched].bytecode


def test_a_replacement_that_finds_nothing_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "bad.mjs").write_text(
        'export default [{ file: "instances/PoolInstance.sol", find: "no such text", put: "" }];'
    )
    flavour = os.path.relpath(tmp_path / "bad", HERE / "flavours")
    command = ["node", "build.mjs", str(tmp_path / "out.json"), flavour]
    ended = subprocess.run(command, cwd=HERE, capture_output=True, check=False)
    assert ended.returncode == 1
    assert b"PoolInstance.sol has 0 times, not 1: no such text" in ended.stderr
    assert not (tmp_path / "out.json").exists()
