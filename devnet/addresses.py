"""Where things stand on Base: the local market is deployed at the same addresses.

Source: the Aave address book and Chainlink's and Uniswap's public address lists for Base. aToken and debt-token
addresses are not here: they come out different on a local chain, and must be read from the pool.
"""

from __future__ import annotations

from core.domain.units import Address


def _address(text: str) -> Address:
    return Address(text.lower())


PROVIDER = _address("0xe20fCBdBfFC4Dd138cE8b2E6FBb6CB49777ad64D")
POOL = _address("0xA238Dd80C259a72e81d7e4664a9801593F98d1c5")
POOL_IMPLEMENTATION = _address("0xA4AbC5FcBA6D0d7E3D144d6dbF6cb6128599dFdB")
CONFIGURATOR = _address("0x5731a04B1E775f0fdd454Bf70f3335886e9A96be")
ORACLE = _address("0x2Cc0Fc26eD4563A5ce5e8bdcfe1A2878676Ae156")
DATA_PROVIDER = _address("0x0F43731EB8d45A581f4a36DD74F5f358bc90C73A")
ACL_MANAGER = _address("0x43955b0899Ab7232E3a454cf84AedD22Ad46FD33")
EXECUTOR = _address("0x9390B1735def18560c509E2d0bc090E9d6BA257a")
"""Owner of the provider and pool admin: the governance executor on Base, impersonated here."""
COLLECTOR = _address("0xBA9424d650A4F5c80a0dA641254d1AcCE2A37057")
RATE_STRATEGY = _address("0x86AB1C62A8bf868E1b3E1ab87d587Aba6fbCbDC5")
MULTICALL3 = _address("0xcA11bde05977b3631167028862bE2a173976CA11")

UNISWAP_FACTORY = _address("0x33128a8fC17869897dcE68Ed026d694621f6FDfD")
SWAP_ROUTER_02 = _address("0x2626664c2603336E57B271c5C0b26F421741e481")
QUOTER_V2 = _address("0x3d4e44Eb1374240CE5F1B871ab261CD16335B76a")

TRANSMITTER = _address("0x00000000000000000000000000000000000c4a11")
"""The account that every local feed accepts answers from."""
DEPLOYER = _address("0x00000000000000000000000000000000000de910")
TRADER = _address("0x0000000000000000000000000000000000007ade")
RIVAL = _address("0x00000000000000000000000000000000000041fa")
SUPPLIER_BASE = 0x5A_0000
"""Suppliers are the addresses that follow this number."""
