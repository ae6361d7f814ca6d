"""Models of transformers that see and hear: tiny configurations, random weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchmarks.architectures.architecture import Architecture
from benchmarks.architectures.inputs import CLASSES, SAMPLES, VOCABULARY, images, labels, tokens
from benchmarks.architectures.language import classifier, filler
from benchmarks.architectures.segmentation import segmenter
from faultsim import Workload, tasks

FAMILY = "transformers, vision and speech"
NEEDS = ("transformers",)
SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
}  # fmt: skip


def vit() -> tuple[nn.Module, Any]:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(**SMALL, image_size=32, patch_size=8, num_labels=CLASSES)
    batches = [{"pixel_values": images(32), "labels": labels()}]
    return ViTForImageClassification(config), batches


def segformer() -> tuple[nn.Module, Any]:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], decoder_hidden_size=16, num_labels=5,
        num_attention_heads=[1, 1, 2, 4],
    )  # fmt: skip
    batches = [{"pixel_values": images(), "labels": torch.randint(5, (SAMPLES, 16, 16))}]
    return SegformerForSemanticSegmentation(config), batches


def clip() -> tuple[nn.Module, Any]:
    from transformers import CLIPConfig, CLIPModel

    text = {**SMALL, "vocab_size": VOCABULARY, "eos_token_id": 2, "pad_token_id": 1}
    sight = {**SMALL, "image_size": 32, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=sight, projection_dim=16)
    return CLIPModel(config), [{"input_ids": tokens(), "pixel_values": images(32)}]


def whisper() -> tuple[nn.Module, Any]:
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    config = WhisperConfig(
        vocab_size=VOCABULARY, d_model=32, encoder_layers=1, decoder_layers=1, num_mel_bins=16,
        encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64,
        decoder_ffn_dim=64, max_source_positions=50, max_target_positions=16, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    spoken, written = torch.rand(SAMPLES, 16, 100), tokens(6)
    batch = {"input_features": spoken, "decoder_input_ids": written, "labels": written}
    return WhisperForConditionalGeneration(config), [batch]


def wav2vec() -> tuple[nn.Module, Any]:
    from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification

    config = Wav2Vec2Config(
        **SMALL, conv_dim=(16, 16), conv_stride=(5, 4), conv_kernel=(10, 8), num_labels=CLASSES,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, classifier_proj_size=16,
    )  # fmt: skip
    batches = [{"input_values": torch.randn(SAMPLES, 800), "labels": labels()}]
    return Wav2Vec2ForSequenceClassification(config), batches


def embedder(model: nn.Module, batches: Any) -> Workload:
    seen = tasks.Embedding(distance=0.01)
    parts = {"image_embeds": seen, "text_embeds": tasks.Embedding(distance=0.01)}
    return Workload(model, batches, tasks.Multi(parts), search=batches)


ARCHITECTURES = [
    Architecture("ViT", FAMILY, vit, classifier, NEEDS),
    Architecture("SegFormer", FAMILY, segformer, segmenter, NEEDS),
    Architecture("CLIP", FAMILY, clip, embedder, NEEDS),
    Architecture("Whisper", FAMILY, whisper, filler, NEEDS),
    Architecture("Wav2Vec2", FAMILY, wav2vec, classifier, NEEDS),
]
