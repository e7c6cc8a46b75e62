"""kept sample -> one line of the chat-format training file: exactly one key, exactly system, user, assistant."""

import json

from lib.run.files import one_line
from lib.schema import Sample

SYSTEM_PROMPT = (
    "You are an expert tutor. A student asked a question, received an explanation, and now has a follow-up question showing confusion. "
    "Address their specific misconception while guiding them toward understanding."
)


def example_line(sample: Sample) -> str:
    """Return the training example as a JSON line. Source of the format: OpenAI, supervised fine-tuning, chat-format JSONL."""
    return one_line(json.dumps({"messages": example_messages(sample)}, ensure_ascii=False))


def example_messages(sample: Sample) -> list[dict[str, str]]:
    about = sample.metadata
    user = f"## Question\n{about.question}\n\n## Initial Explanation\n{about.explanation}\n\n## Student's Follow-up\n{about.follow_up}"
    return [
        {"role": "system", "content": SYSTEM_PROMPT},
        {"role": "user", "content": user},
        {"role": "assistant", "content": sample.response},
    ]
