"""
What the generator of the scenes can teach beside answers, for it knows what every patch shows.

Answers alone teach a tower slowly, so it also learns to tell what each patch shows. And the
projector puts patches where the decoder keeps its words: if a patch with a red car lies near `red`
and `car` there, the decoder finds it by attending to what resembles the question's words; learned
from answers alone, that takes a small model far longer than all the rest.
"""

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from ros2_llava_phi.model.tokenizer import encode

from .scenes import ATTRIBUTES
from .scenes.grammar import NOUNS

MOST_WEIGHT = 12.0
# Not for the patch alone to show.
PASSED_OVER = {'thing', 'scene', 'nothing', 'visible', 'of', 'our', 'in', 'on', 'a', 'centre'}
VEHICLES = ('car', 'truck')
COUNTING = ('many', 'number', 'count')  # things are counted by their middles
# A patch shows about four things at once, so its cosine with the word of each is about a half.
SHARPNESS, THRESHOLD = 12.0, 0.25


def rare_weights(targets: Tensor) -> Tensor:
    """Return the weight [attributes] of a positive: the rarer, the larger, up to a bound."""
    share = targets.mean(dim=(0, 1)).clamp(1e-6, 1 - 1e-6)
    return ((1 - share) / share).sqrt().clamp(1.0, MOST_WEIGHT)


def patch_loss(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """
    Return the mean weighted binary cross-entropy over patches and attributes, a scalar.

    logits, targets: [B, patches, attributes]; weights: of the positives [attributes].
    """
    return F.binary_cross_entropy_with_logits(logits.float(), targets, pos_weight=weights)


def attribute_words(tokenizer: Tokenizer) -> tuple[Tensor, Tensor]:
    """Return the token ids [W] of the attributes' words, and which of them fit an attribute.

    The second is float32 [attributes, W].
    """
    words = [_tokens(tokenizer, attribute) for attribute in ATTRIBUTES]
    tokens = sorted(set().union(*words))
    fits = [[float(token in own) for token in tokens] for own in words]
    return torch.tensor(tokens), torch.tensor(fits)


def word_loss(picture: Tensor, words: Tensor, wanted: Tensor) -> Tensor:
    """
    Return the mean binary cross-entropy of telling by nearness which words fit a patch, a scalar.

    picture: patches in the decoder's space [B, patches, D]; words: embeddings [W, D].
    wanted: 1 where a word fits, [B, patches, W].
    """
    nearness = F.normalize(picture.float(), dim=-1) @ F.normalize(words.float(), dim=-1).T
    return F.binary_cross_entropy_with_logits(SHARPNESS * (nearness - THRESHOLD), wanted)


def _tokens(tokenizer: Tokenizer, attribute: str) -> set[int]:
    """Return the tokens of an attribute's words, but for words that are in several pieces."""
    if attribute.startswith('centre of'):
        phrases = [*COUNTING]
    else:
        phrases = [word for word in attribute.split() if word not in PASSED_OVER]
        names = (attribute, 'vehicle') if attribute in VEHICLES else (attribute,)
        phrases += [form for name in names for forms in NOUNS.get(name, ()) for form in forms]
    pieces = [encode(tokenizer, f' {word}') for phrase in phrases for word in phrase.split()]
    return {tokens[0] for tokens in pieces if len(tokens) == 1}
