"""Layers of tests, and what runs them.

Nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazily import lazily

if TYPE_CHECKING:
    from .agent import (
        ExecutionStrategy,
        LayerExecutionAgent,
        LayerExecutionConfig,
        LayerExecutionResult,
        execute_layer_sync,
    )
    from .mistakes import ConfigError
    from .orchestrator import (
        ExecutionMode,
        OrchestrationConfig,
        OrchestrationResult,
        TestOrchestratorAgent,
    )

_WHERE = {
    "ConfigError": ".mistakes",
    "ExecutionMode": ".orchestrator",
    "ExecutionStrategy": ".agent",
    "LayerExecutionAgent": ".agent",
    "LayerExecutionConfig": ".agent",
    "LayerExecutionResult": ".agent",
    "OrchestrationConfig": ".orchestrator",
    "OrchestrationResult": ".orchestrator",
    "TestOrchestratorAgent": ".orchestrator",
    "execute_layer_sync": ".agent",
}

__all__ = [
    "ConfigError",
    "ExecutionMode",
    "ExecutionStrategy",
    "LayerExecutionAgent",
    "LayerExecutionConfig",
    "LayerExecutionResult",
    "OrchestrationConfig",
    "OrchestrationResult",
    "TestOrchestratorAgent",
    "execute_layer_sync",
]

__getattr__, __dir__ = lazily(__name__, _WHERE)
