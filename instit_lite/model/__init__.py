"""The model, seen from its visual tokens: encode, freeze, project, pool; loading; NF4 and LoRA.

In: frames and a checkpoint folder. Out: visual tokens ready for `forward(mm_encoder_outputs=...)`, a model whose
trainable parts are declared, an adapter on disk. This room knows no dataset, no loss and no score.
"""

import logging

# bitsandbytes tells at import that an optional kernel is missing, whoever imports it first; the kit does not use it.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
