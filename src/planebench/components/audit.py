"""What an API server is to write into its audit log: one line for each request, when it is done.

Source: kubernetes v1.37.2, staging/src/k8s.io/apiserver/pkg/apis/audit/v1/types.go.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from planebench.components.process import Member

_CONTROLLERS: Final = "system:serviceaccounts"
_MIB_PER_FILE: Final = 4096
"""Before a file is rotated: not in a run."""
_ID_CHARACTERS: Final = 8


def audit_id(run_id: str) -> str:
    """What the load's audit ids begin with: the random part of the run's id."""
    return run_id[-_ID_CHARACTERS:]


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit log of each API server."""

    folder: Path
    """Where they are written."""
    owners: bool = False
    """Pods that controllers create come with their manifests: their names are the API server's choice, so only
    the manifest tells whose they are."""

    def policy(self) -> str:
        """The policy file: who, what and when of every request, nothing of its content."""
        rules: list[dict[str, Any]] = [{"level": "Metadata"}]
        if self.owners:
            pods = {"group": "", "resources": ["pods"]}
            rules.insert(
                0, {"level": "Request", "verbs": ["create"], "userGroups": [_CONTROLLERS], "resources": [pods]}
            )
        policy = {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],  # each line tells when its request was received
            "omitManagedFields": True,
            "rules": rules,
        }
        return json.dumps(policy, indent=1)

    def flags(self, policy: Path, member: Member) -> dict[str, str]:
        """An API server's flags. Each line is written before the reply ends: none is ever dropped."""
        return {
            "audit-policy-file": str(policy),
            "audit-log-path": str(self.folder / f"{member.named('audit')}.log"),
            "audit-log-format": "json",
            "audit-log-mode": "blocking",
            "audit-log-maxsize": str(_MIB_PER_FILE),
        }
