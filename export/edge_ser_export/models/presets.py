"""Small encoders that a laptop can train from nothing."""

from __future__ import annotations

from edge_ser_export.models.config import EncoderConfig

PRESETS: dict[str, EncoderConfig] = {
    # log-mel front end in the graph; small, fast, and the embedded default
    "spectral": EncoderConfig(
        kind="spectral",
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=384,
        num_conv_pos_embeddings=31,
        num_conv_pos_embedding_groups=16,
    ),
    # every operator of WavLM-large at toy width; the stem's convolutions have a bias, without which
    # their layer norms would hide how loud a frame is from a stem this narrow
    "wavlm-tiny": EncoderConfig(
        kind="wavlm",
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=384,
        conv_dim=(32, 48, 64, 96, 128, 128, 128),
        conv_bias=True,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
        num_buckets=64,
        max_bucket_distance=256,
    ),
}
