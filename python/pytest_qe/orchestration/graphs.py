"""A plan as a picture, in text or for Mermaid."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def as_text(plan: Mapping[str, Any]) -> str:
    """Layers in their order, each category with what it needs.

    Args:
        plan: what ``qe_stage_plan`` gives.
    """
    lines = []
    for layer in plan["layers"]:
        about = [layer["strategy"]]
        if layer["background"]:
            about.append("background")
        if layer["limit_s"]:
            about.append(f"{layer['limit_s'] / 60:g} min")
        after = f", after {', '.join(layer['after'])}" if layer["after"] else ""
        lines.append(f"{layer['id']} ({', '.join(about)}{after})")
        last = len(layer["categories"]) - 1
        for number, one in enumerate(layer["categories"]):
            needs = [name.removeprefix(f"{layer['id']}/") for name in one["depends_on"]]
            more = f" <- {', '.join(needs)}" if needs else ""
            if one["exclusive"]:
                more += f"  [alone with {', '.join(one['exclusive'])}]"
            lines.append(f"{'`--' if number == last else '|--'} {one['name']}{more}")
    return "\n".join(lines)


def as_mermaid(plan: Mapping[str, Any]) -> str:
    """A flowchart (https://mermaid.js.org/syntax/flowchart.html)."""
    lines = ["flowchart LR"]
    known = {}
    for layer in plan["layers"]:
        lines.append(f'  subgraph layer{layer["layer"]}["{_label(layer["id"])}"]')
        for one in layer["categories"]:
            known[f"{layer['id']}/{one['name']}"] = f"c{one['category']}"
            lines.append(f'    c{one["category"]}["{_label(one["name"])}"]')
        lines.append("  end")
    numbers = {layer["id"]: layer["layer"] for layer in plan["layers"]}
    for layer in plan["layers"]:
        lines += [f"  layer{numbers[other]} --> layer{layer['layer']}" for other in layer["after"]]
        for one in layer["categories"]:
            lines += [
                f"  {known[name]} --> c{one['category']}"
                for name in one["depends_on"]
                if name in known
            ]
    return "\n".join(lines)


def _label(text: str) -> str:
    """Entities, as Mermaid has them, for all that could end a label."""
    return re.sub(r"[^\w .,/()-]", lambda found: f"#{ord(found[0])};", text)
