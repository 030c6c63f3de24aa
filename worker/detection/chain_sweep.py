"""ChainSweep: detection by asking the chain for every watched account, for rules that are not known here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from core.domain.units import Address
from core.risk.active_risk_set import ActiveRiskSet, Watched
from worker.chain.aave import AaveReader
from worker.chain.logs import Log
from worker.detection.looking import Limits, Look, Work, sort_out

FULL_SWEEP_SECONDS = 60


class ChainSweep:
    """Ask getUserAccountData for the hot set at every look, and for every borrower once a minute of chain time.

    Far slower than the mirror, and never wrong about rules that it does not need to know.
    """

    def __init__(
        self,
        reader: AaveReader,
        watch_list: ActiveRiskSet,
        borrowers: Iterable[Address],
        limits: Limits,
        on_check: Callable[[int], None],
    ) -> None:
        self._reader = reader
        self._watch_list = watch_list
        self._borrowers = dict.fromkeys(borrowers)
        self._limits = limits
        self._on_check = on_check
        self._swept_at = 0

    def hear(self, log: Log) -> None:
        """Take no notice: the chain is asked about everybody anyway."""

    def take_back(self, floor: int) -> None:
        """Take no notice."""

    async def look(self, work: Work, open_users: Collection[Address]) -> Look:
        """Return whose spell below the threshold began or ended, by the chain's own figures at `work.block`.

        Who stays below is reported as changed when something touched the account, and with each full sweep.
        """
        full = work.timestamp - self._swept_at >= FULL_SWEEP_SECONDS
        due = self._borrowers if full else self._watch_list.hot()
        users = list(dict.fromkeys([*open_users, *work.users, *due]))
        answers = await self._reader.account_data(users, work.block)
        self._on_check(len(users))
        accounts = {user: account for user, account in zip(users, answers, strict=True) if account is not None}
        for user, account in accounts.items():
            if account.total_debt_base:
                self._borrowers[user] = None  # one that was touched may be new
                self._watch_list.add(
                    Watched(account.health_factor, user, account.total_debt_base, account.total_collateral_base)
                )
            else:
                self._watch_list.discard(user)
        look = sort_out(accounts, open_users, self._limits, work.block)
        if full:
            self._swept_at = work.timestamp
        else:
            look.changed = {user: account for user, account in look.changed.items() if user in work.users}
        return look
