"""Memory of a training step. In: a model with LoRA, real or on the meta device, and a micro-batch. Out: bytes by part.

Weights, gradients and optimiser states are counted parameter by parameter, from their own types. Activations come
from formulas: what one layer of the stock classes keeps for its backward pass, with LoRA on all its linear layers.
The paper states no memory; its freezing (section 4) shows in the lines of the later encoder layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn
from transformers import PreTrainedConfig

from .nf4 import is_nf4, linears
from .qlora import placed_parameters
from .visual import inner_model, pool_mode, pools, tokens_per_frame

CONTEXT = 2**29  # CUDA's own, before the first tensor: about half a GiB, by card and driver
WORKSPACE = int(0.3 * 2**30)  # cuBLAS, and pieces that the allocator cannot use again
WEIGHTS = ("language model", "quantisation constants", "embeddings, head, norms", "encoder", "projector", "LoRA")
LAYER, LOGITS, OUTSIDE = "one layer at work", "logits of the loss", "CUDA context, outside torch's allocator"


@dataclass(frozen=True)
class Work:
    """What a micro-batch puts through the model: `rows` sequences padded to `length` tokens, `answers` supervised
    tokens in all, `views` pictures through the encoder.
    """

    rows: int
    length: int
    answers: int
    views: int


@dataclass
class Part:
    """What one part holds: parameters, bytes of weights, of quantisation constants, of the parameters that train."""

    parameters: int = 0
    weights: int = 0
    constants: int = 0
    trained: int = 0


@dataclass
class Counted:
    """What memory and arithmetic depend on: parts, layers and encoder layers that train, LoRA's rank, parameters of the
    largest NF4 layer, tokens of a picture in the encoder, after it, and in the context.
    """

    config: PreTrainedConfig
    layers: int
    later: int
    rank: int
    largest: int
    encoded: int
    grid: int
    pooled: int
    average: bool
    language: Part = field(default_factory=Part)
    words: Part = field(default_factory=Part)
    encoder: Part = field(default_factory=Part)
    projector: Part = field(default_factory=Part)
    lora: Part = field(default_factory=Part)


PLACES = {"LoRA on the language model": "lora", "projector": "projector", "language model": "language",
          "embeddings, head, norms": "words"}  # fmt: skip


def nf4_bytes(parameters: int) -> tuple[int, int]:
    """Bytes of an NF4 layer's weights and of its constants, doubly quantised.

    4 bits each; a byte of scale per 64 weights; a float per 256 of those scales; a table of 16 floats and an offset.
    """
    scales = -(-parameters // 64)
    return -(-parameters // 2), scales + 4 * -(-scales // 256) + 4 * 17


def count(model: nn.Module) -> Counted:
    """Count a model as `attach_qlora` left it; a layer that was made NF4 on the meta device counts as NF4."""
    inner, pooled, grid = inner_model(model), pools(model, "video"), tokens_per_frame(model, pooled=False)
    encoder = inner.vision_tower.encoder.layers
    counted = Counted(
        model.config,
        layers=len(inner.language_model.layers),
        later=sum(any(p.requires_grad for p in layer.parameters()) for layer in encoder),
        rank=next((p.shape[0] for name, p in inner.named_parameters() if "lora_A" in name), 0),
        largest=max((m.in_features * m.out_features for *_, m in linears(model) if is_nf4(m)), default=0),
        encoded=grid + (model.config.vision_feature_select_strategy == "default"),  # CLIP's class token
        grid=grid, pooled=tokens_per_frame(model, pooled), average=pooled and pool_mode(model) == "average",
    )  # fmt: skip
    for name, parameter in placed_parameters(model):
        part, size = getattr(counted, PLACES.get(name, "encoder")), parameter.numel()
        weights, constants = 4 * size if parameter.requires_grad else parameter.nbytes, 0  # trained ones in fp32
        if hasattr(parameter, "quant_state"):
            size = size if parameter.quant_state is None else parameter.quant_state.shape.numel()
            weights, constants = nf4_bytes(size)
        part.parameters += size
        part.weights += weights
        part.constants += constants
        part.trained += weights if parameter.requires_grad else 0
    return counted


def checkpointed(layers: int, every: int) -> int:
    """How many of `layers` are checkpointed where every n-th is; 0: none."""
    return -(-layers // every) if every else 0


def kept_by_layer(counted: Counted, work: Work, width: int) -> int:
    """Bytes that one language layer keeps for its backward pass; `width`: 2 under 16-bit autocast, 4 in fp32.

    Per token, in hidden sizes: two norms' inputs in fp32 (8); attention's queries, keys, values and outputs, keys and
    values repeated for all heads (4 x width); inputs of LoRA, which peft copies for each of six layers under autocast
    (12) and which share two in fp32 (8). In widths of the MLP: gate, SiLU, up and LoRA's input (4 x width).
    """
    text, tokens, low = counted.config.text_config, work.rows * work.length, width == 2
    kept = tokens * ((28 if low else 32) * text.hidden_size + 4 * width * text.intermediate_size)
    if text._attn_implementation == "eager":  # all attention weights in fp32, and again in 16 bits
        kept += (6 if low else 4) * text.num_attention_heads * tokens * work.length
    lora = 2 * counted.lora.parameters // counted.layers if low else 0  # its weights in 16 bits
    return kept + lora + 7 * counted.rank * width * tokens  # what its seven A matrices give


def kept_by_visuals(counted: Counted, work: Work, width: int, every: int, offload: bool) -> tuple[int, int]:
    """Bytes that the projector, and the encoder layers that train, keep; a frozen encoder is out of the graph.

    Projector: input, GELU's input and output, visual tokens; average pooling keeps what it pools. Encoder layer: norms,
    inputs of linear layers, attention as above (CUDA's autocast computes norms in fp32 and casts each input anew); of
    the MLP's width three for QuickGELU (CLIP), two for GELU (SigLIP).
    """
    text, vision = counted.config.text_config.hidden_size, counted.config.vision_config
    projector = counted.grid * (vision.hidden_size + (2 + counted.average) * text) + counted.pooled * text
    wide = width * (3 if vision.hidden_act == "quick_gelu" else 2)
    layer = (24 if width == 2 else 32) * vision.hidden_size + wide * vision.intermediate_size
    light = checkpointed(counted.later, every)
    each = (counted.later - light) * layer + (0 if offload else light * width * vision.hidden_size)
    return work.views * width * projector, work.views * counted.encoded * each


def memory_lines(
    counted: Counted, work: Work, *, width: int, every: int = 0, offload: bool = False, gpu: bool = True
) -> dict[str, int]:
    """Bytes of each part at the peak of a step over `work`; `peak_of` adds them up.

    `width`: bytes of an activation, 2 under 16-bit autocast, 4 in fp32. `every`: every n-th layer is checkpointed; 0:
    none. `offload`: what checkpointed layers keep lies in host memory. Without `gpu` there is no CUDA to pay for.
    """
    text, lora, later = counted.config.text_config, counted.lora, counted.encoder.trained
    tokens, light = work.rows * work.length, checkpointed(counted.layers, every)
    kept = kept_by_layer(counted, work, width)
    projector, encoder = kept_by_visuals(counted, work, width, every, offload)
    boundaries = 0 if offload else light * tokens * text.hidden_size * width
    mask, pixels = work.rows * work.length**2, work.views * 3 * counted.config.vision_config.image_size**2
    trained = lora.trained + counted.projector.trained
    language, parts = counted.language, (counted.words, counted.encoder, counted.projector, lora)
    lines = dict(zip(WEIGHTS, (language.weights, language.constants, *(part.weights for part in parts)))) | {
        "gradients": trained,
        "optimiser states": 2 * trained,  # Adam's two moments, in the parameters' own types
        "later encoder layers: gradients, states": 3 * later,
        "later encoder layers: activations": encoder,
        "projector: activations": projector,
        "language model: activations": (counted.layers - light) * kept + boundaries,
        # Gradients of the MLP's products: two in fp32, or four in 16 bits; what the last layer has recomputed.
        LAYER: 8 * tokens * text.intermediate_size + (kept if every == 1 else 0),
        LOGITS: 12 * work.answers * text.vocab_size,  # log-probabilities and two gradients, in fp32
        "pixels and attention mask": 4 * pixels + (4 + width) * mask,
    }
    cuda = {"largest NF4 layer, in 16 bits": 2 * counted.largest, "workspace": WORKSPACE, OUTSIDE: CONTEXT}
    return lines | cuda if gpu else lines


def peak_of(lines: dict[str, int]) -> int:
    """Add up `memory_lines`; the loss is over when the layers' backward pass begins: the larger of the two counts."""
    return sum(lines.values()) - min(lines[LAYER], lines[LOGITS])
