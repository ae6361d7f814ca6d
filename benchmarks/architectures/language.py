"""Language models of transformers: tiny configurations, random weights."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

from benchmarks.architectures.architecture import Architecture
from benchmarks.architectures.inputs import CLASSES, VOCABULARY, labels, sentences
from faultsim import Workload, tasks

FAMILY = "transformers, language"
NEEDS = ("transformers",)
SMALL = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {
    "GPT2LMHead": {**SMALL, "n_embd": 32, "n_layer": 2, "n_head": 4},
    "LlamaForCausalLM": {**SMALL, "num_key_value_heads": 2},
    "MistralForCausalLM": {**SMALL, "num_key_value_heads": 2},
    "MixtralForCausalLM": {**SMALL, "num_key_value_heads": 2, "num_local_experts": 4},
    "MambaForCausalLM": {**SMALL, "state_size": 4},
    "Mamba2ForCausalLM": {**SMALL, "state_size": 8, "num_heads": 4, "head_dim": 16, "n_groups": 1},
    "OPTForCausalLM": {**SMALL, "ffn_dim": 64, "word_embed_proj_dim": 32},
    "GPTNeoXForCausalLM": SMALL,
    "BertForMaskedLM": SMALL,
    "T5ForConditionalGeneration": {
        "vocab_size": VOCABULARY, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2,
        "num_heads": 4, "pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 0,
    },
    "BartForConditionalGeneration": {
        "vocab_size": VOCABULARY, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
        "decoder_start_token_id": 1,
    },
    "BertForSequenceClassification": {**SMALL, "num_labels": CLASSES},
    "DistilBertForSequenceClassification": {
        **SMALL, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64, "num_labels": CLASSES,
    },
}  # fmt: skip
"""By the class of the model."""


def build(kind: str) -> nn.Module:
    import transformers

    name = "GPT2LMHeadModel" if kind == "GPT2LMHead" else kind
    model = getattr(transformers, name)
    return model(model.config_class(**OPTIONS[kind]))


def classified(kind: str) -> tuple[nn.Module, Any]:
    rows = zip(sentences(), labels().split(2), strict=True)
    return build(kind), [{**batch, "labels": own} for batch, own in rows]


def causal(kind: str) -> tuple[nn.Module, Any]:
    return build(kind), [{**batch, "labels": batch["input_ids"]} for batch in sentences()]


def translating(kind: str) -> tuple[nn.Module, Any]:
    batches = [
        {
            **batch,
            "decoder_input_ids": batch["input_ids"][:, :5],
            "labels": batch["input_ids"][:, 1:6],
        }
        for batch in sentences()
    ]
    return build(kind), batches


def writing(kind: str) -> tuple[nn.Module, Any]:
    return build(kind), [{"input_ids": batch["input_ids"]} for batch in sentences()]


def classifier(model: nn.Module, batches: Any) -> Workload:
    return Workload(model, batches, tasks.Classification(), search=batches[:1])


def reader(model: nn.Module, batches: Any) -> Workload:
    return Workload(model, batches, tasks.LanguageModel(), search=batches[:1])


def filler(model: nn.Module, batches: Any) -> Workload:
    return Workload(model, batches, tasks.LanguageModel(shift=False), search=batches[:1])


def writer(model: nn.Module, batches: Any) -> Workload:
    forward = tasks.teacher_forced(
        lambda model, batch: model.generate(**batch, max_new_tokens=4, do_sample=False)
    )
    return Workload(model, batches, tasks.Generation(), forward, search=batches[:1])


CAUSAL = {
    "GPT-2": "GPT2LMHead", "Llama": "LlamaForCausalLM", "Mistral": "MistralForCausalLM",
    "Mixtral": "MixtralForCausalLM", "Mamba": "MambaForCausalLM", "Mamba 2": "Mamba2ForCausalLM",
    "OPT": "OPTForCausalLM", "GPT-NeoX": "GPTNeoXForCausalLM",
}  # fmt: skip
FILLING = {"T5": "T5ForConditionalGeneration", "BART": "BartForConditionalGeneration"}
CLASSIFYING = {
    "BERT": "BertForSequenceClassification", "DistilBERT": "DistilBertForSequenceClassification",
}  # fmt: skip


def of(names: dict[str, str], make: Any, write: Any, suffix: str = "") -> list[Architecture]:
    """Architectures that are made and run alike."""
    return [
        Architecture(name + suffix, FAMILY, partial(make, kind), write, NEEDS)
        for name, kind in names.items()
    ]


ARCHITECTURES = [
    *of(CLASSIFYING, classified, classifier),
    *of({"BERT, masked": "BertForMaskedLM"}, causal, filler),
    *of(CAUSAL, causal, reader),
    *of(FILLING, translating, filler),
    *of({name: CAUSAL[name] for name in ("GPT-2", "Llama")}, writing, writer, ", generating"),
]
