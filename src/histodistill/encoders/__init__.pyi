from .catalogue import (
    ENCODERS as ENCODERS,
    OFFLINE_ENCODER as OFFLINE_ENCODER,
    OWN_MODELS as OWN_MODELS,
    find_encoder as find_encoder,
)
from .encoder import (
    Encoder as Encoder,
    Precision as Precision,
    PrecisionChoice as PrecisionChoice,
)
from .loading import (
    describe_encoder as describe_encoder,
    find_weights as find_weights,
    load_encoder as load_encoder,
    resolve_precision as resolve_precision,
)
from .patch_encoder import PatchEncoder as PatchEncoder
