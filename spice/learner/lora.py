"""Low-rank adapters through peft, and the plain weights that they amount to."""

from __future__ import annotations

from typing import Any

import torch

from spice.config import LoraConfig

_NAME = "default"


def add_adapters(model: Any, config: LoraConfig) -> Any:
    """Freeze `model` and put adapters on all its linear layers but the output embedding."""
    import peft

    return peft.get_peft_model(
        model,
        peft.LoraConfig(
            r=config.rank, lora_alpha=config.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )


def merged_weights(model: Any) -> dict[str, torch.Tensor]:
    """The base model's weights with the adapters added, under the base model's own names.

    Computed aside: merging in place and taking it back would leave rounding in the frozen weights.
    """
    from peft.tuners.lora import LoraLayer

    weights: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for name, module in model.get_base_model().named_modules():
            if isinstance(module, LoraLayer):
                base = module.get_base_layer()
                weights[f"{name}.weight"] = base.weight.detach() + module.get_delta_weight(_NAME)
                if base.bias is not None:
                    weights[f"{name}.bias"] = base.bias.detach()
        for name, parameter in model.get_base_model().named_parameters():
            plain = name.replace(".base_layer", "")
            if "lora_" not in name and plain not in weights:
                weights[plain] = parameter.detach()
    return weights
