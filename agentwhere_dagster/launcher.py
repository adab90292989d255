"""Starts runs as Dagster does, and can tell whether a run is still at work.

A run is a process of the code server. When that server is killed, or its machine loses power, its runs end without a
word: their status stays STARTED, and other runs of their lanes wait. Run monitoring asks the launcher of each run every
few seconds, but Dagster's own has no answer (1.13.27), so that such a lane would stand still until
``max_runtime_seconds``. This one asks the server that started the run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dagster import DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import DefaultRunLauncher
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

if TYPE_CHECKING:
    from dagster._grpc.client import DagsterGrpcClient

ANSWER_WITHIN_S = 10


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's own launcher, and an answer for run monitoring."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """True: `check_run_worker_health` answers."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Return whether the code server that started a run still has its process.

        A server that does not answer says nothing about its runs, nor is anything known of a run that no server
        started: both count as at work.
        """
        from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
        from dagster._serdes import deserialize_value

        # By the host and the port that the run was tagged with; None for a run that has ended meanwhile.
        client: Callable[[str], DagsterGrpcClient | None] = self._get_grpc_client_for_termination
        server = client(run.run_id)
        if server is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "no code server started it")
        try:
            answer = server.can_cancel_execution(
                CanCancelExecutionRequest(run_id=run.run_id), timeout=ANSWER_WITHIN_S
            )
        except DagsterUserCodeUnreachableError:
            return CheckRunHealthResult(
                WorkerStatus.RUNNING, "the code server that started it does not answer now"
            )
        if deserialize_value(answer, CanCancelExecutionResult).can_cancel:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND,
            "the code server was started anew, and the run's process ended with the one before",
        )
