"""The model card of the message writer, with the metrics of the run that made it."""

import re

from shared.artifacts import Manifest

CARD = """# Message writer {version}

An OPT of 3.5 million parameters (4 layers of 256, its own BPE of 1,024 tokens), in 8 bits for CTranslate2, and the
reward model that ranks its candidates. `{made_by}` trained the base model, SFT, the reward model and PPO;
`training.json` holds their histories, `sft.jsonl` samples of the model before PPO.

## Use

It writes the text of a contact that the policy has decided, with slots that the messenger fills: it never sees a
customer's facts. The shield checks every text before it is sent; where it stops a text, a template replaces it.

## Metrics

| | |
|---|---|
| win rate of PPO against SFT by the held-out rubric | {win_rate} (95 %: {win_rate_low} to {win_rate_high}) |
| the same, length-controlled | {win_rate_at_equal_length} |
| win rate of the served text, the better of two candidates, against SFT | {win_rate_served} |
| accuracy of the reward model on the rubric's preferences; the highest possible | {rm_accuracy}, {rm_ceiling} |
| accuracy of a reward model on human preferences (HH-RLHF, test split) | {rm_people_accuracy} |
| accuracy of preferring the longer text there | {rm_people_longer} |
| mean KL divergence from SFT over the last half of PPO, and its target, nats per text | {kl_mean}, {kl_target} |
| share of distinct texts, relative to SFT | {distinct_ratio} |
| texts whose numbers and names are all facts of the customer, before the shield | {grounded} |
| texts that break a rule, before the shield; of SFT | {violations_before_shield}, {violations_before_shield_sft} |
| unsafe messages sent, after the shield | {unsafe_sent} |

## Limits

- **No person has judged these messages.** Preferences come from a stated rubric
  (`training/messenger/evaluation/rubric.py`) with noise, and another rubric decides the win rates. They show that every
  stage works, not that customers like the messages or stay because of them.
- The corpus is a grammar: the model knows the narrow language of these messages, in English, and nothing else.
- On the human preferences of HH-RLHF a model this small, trained on its grammar alone, is no better than chance;
  that reward model is not used and not part of the artifact.
- No pretrained model was available where it was trained. The same stages take one by name: `--model facebook/opt-350m`.
"""


def card(manifest: Manifest) -> str:
    """Raises `KeyError` for a metric that is missing."""
    texts = {"version": manifest.version, "made_by": manifest.made_by}

    def number(name: str) -> str:
        value = manifest.metrics[name]
        return f"{value:.0f}" if name == "unsafe_sent" else f"{value:.3f}"

    return re.sub(r"{(\w+)}", lambda slot: texts.get(slot[1]) or number(slot[1]), CARD)
