"""The model card of the message writer, with the numbers of the run that made it."""

import re

from shared.artifacts import Manifest

CARD = """# Message writer {version}

An OPT of 3.5 million parameters (4 layers of 256, its own BPE of 1,024 tokens), in 8 bits for CTranslate2, and the
reward model that ranks what it writes. Base, SFT, reward model and PPO were trained by `{made_by}`; `training.json`
holds their histories, `sft.jsonl` what the model wrote before PPO.

## Use

To write the words of a contact that was decided elsewhere, in slots that the messenger fills: it never sees a fact of
the customer. What it writes is read by the shield before it leaves, and a template follows where it is stopped.

## Metrics

| | |
|---|---|
| PPO beats SFT by the held-out judge | {win_rate} (95 %: {win_rate_low} to {win_rate_high}) |
| the same at equal length | {win_rate_at_equal_length} |
| what serves, the better of two, beats SFT | {win_rate_served} |
| reward model on pairs of the stated rubric; what is possible | {rm_accuracy}, {rm_ceiling} |
| reward model on people's pairs (HH-RLHF, tested on others) | {rm_people_accuracy} |
| choosing the longer there | {rm_people_longer} |
| divergence from SFT over the last half of PPO, and its target, nats a text | {kl_mean}, {kl_target} |
| distinct texts, of SFT's | {distinct_ratio} |
| texts whose numbers and names are all the customer's, before the shield | {grounded} |
| texts that break a rule of the shield, before it; SFT's | {violations_before_shield}, {violations_before_shield_sft} |
| unsafe messages sent, after it | {unsafe_sent} |

## Limits

- **No person has judged these messages.** What is preferred is a stated rubric
  (`training/messenger/evaluation/rubric.py`) with a person's noise, and the judge is another rubric. They show that
  every stage does its work, not that customers like the messages or stay for them.
- The corpus is a grammar: the model knows the narrow language of these messages, in English, and nothing else.
- On what people preferred in HH-RLHF a model this small, which has read only its grammar, does no better than a
  coin; that reward model writes nothing and ships nowhere.
- No pretrained model was at hand where it was made. The same stages take one by name: `--model facebook/opt-350m`.
"""


def card(manifest: Manifest) -> str:
    """Raises KeyError for a number not measured."""
    words = {"version": manifest.version, "made_by": manifest.made_by}

    def number(name: str) -> str:
        value = manifest.metrics[name]
        return f"{value:.0f}" if name == "unsafe_sent" else f"{value:.3f}"

    return re.sub(r"{(\w+)}", lambda slot: words.get(slot[1]) or number(slot[1]), CARD)
