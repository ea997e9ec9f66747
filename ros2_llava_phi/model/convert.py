"""
Write a model folder in a layout that others read: the original LLaVA-Phi's or transformers'.

No number changes: every tensor keeps its precision, so that a folder converted there and back
holds the same bytes of weights.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.files.atomic import new_folder
from ros2_llava_phi.files.settings import Settings

from .config import CONFIG_FILE, ModelConfig
from .layout import HF, ORIGINAL, OWN
from .picture_settings import PICTURE_FILE, PROCESSOR_FILE, picture_settings
from .prompt import PICTURE_TEXT
from .published_config import to_hf, to_original
from .tokenizer import END_OF_TEXT, TOKENIZER_FILE, load_tokenizer
from .weights import Checkpoint, save_network

LAYOUTS = {'original': ORIGINAL, 'hf': HF, 'own': OWN}
PADDING_TEXT = '<pad>'


def convert(checkpoint: Checkpoint, out: Path, layout: str) -> None:
    """
    Write a checkpoint into a new folder in the layout 'original', 'hf' or 'own'.

    'original' has queries, keys and values fused, as LLaVA-Phi was published; 'hf' is
    LlavaForConditionalGeneration's, which every version of transformers reads. `<image>` and
    padding take the first two ids that the tokenizer leaves free there.

    Raises ModelError if the tokenizer leaves no id free or the checkpoint cannot be read, and
    FileError if the folder is not a new one or cannot be written.
    """
    if layout not in LAYOUTS:
        raise ModelError(f'there is no layout {layout!r}; layouts: {", ".join(LAYOUTS)}')
    config = checkpoint.config
    tokenizer = load_tokenizer(checkpoint.tokenizer_folder, config.text.vocab_size)
    tokenizer.encode_special_tokens = False
    files = _files(config, tokenizer, layout)
    with new_folder(out) as folder:
        save_network(checkpoint.read(dtype=None), folder, None, LAYOUTS[layout])
        tokenizer.save(str(folder / TOKENIZER_FILE))
        for name, settings in files.items():
            (folder / name).write_text(json.dumps(settings, indent=2) + '\n')


def _files(config: ModelConfig, tokenizer: Tokenizer, layout: str) -> dict[str, Settings]:
    """Return the JSON files that a layout wants beside its weights, by name."""
    if layout == 'own':
        return {}
    end = config.text.eos_token_id
    files: dict[str, Settings] = {
        'generation_config.json': {'bos_token_id': end, 'eos_token_id': end, 'pad_token_id': end},
        'tokenizer_config.json': _tokenizer_config(config),
        PICTURE_FILE: picture_settings(config),
    }
    if layout == 'original':
        return {**files, CONFIG_FILE: _with_answers(to_original(config), config)}
    siglip = config.vision.kind == 'siglip'
    image, padding = (_spare(tokenizer, text, config) for text in (PICTURE_TEXT, PADDING_TEXT))
    files['generation_config.json']['pad_token_id'] = padding
    files['tokenizer_config.json'] |= {'pad_token': PADDING_TEXT}
    files[PROCESSOR_FILE] = {
        'processor_class': 'LlavaProcessor',
        'image_token': PICTURE_TEXT,
        'num_additional_image_tokens': 0 if siglip else 1,
        'patch_size': config.vision.patch_size,
        'vision_feature_select_strategy': 'full' if siglip else 'default',
    }
    return {**files, CONFIG_FILE: _with_answers(to_hf(config, image, padding), config)}


def _spare(tokenizer: Tokenizer, text: str, config: ModelConfig) -> int:
    """Return the id of a control token; where it is new, that of the next spare row."""
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True)])
    token: int = tokenizer.token_to_id(text) or 0
    if token >= config.text.vocab_size:
        raise ModelError(
            f'the tokenizer uses all {config.text.vocab_size} rows of the embedding and leaves '
            f'none for {text}; this layout needs one'
        )
    return token


def _with_answers(settings: Settings, config: ModelConfig) -> Settings:
    """Add what this project alone knows of a model."""
    return {
        **settings,
        'llava_phi': {'abstain_text': config.abstain_text, 'temperature': config.temperature},
    }


def _tokenizer_config(config: ModelConfig) -> dict[str, Any]:
    return {
        'tokenizer_class': 'PreTrainedTokenizerFast',
        'bos_token': END_OF_TEXT,
        'eos_token': END_OF_TEXT,
        'unk_token': END_OF_TEXT,
        'add_prefix_space': False,
        'clean_up_tokenization_spaces': False,
        'model_max_length': config.text.context_length,
    }
