"""The validator: any JSONL file of chat-format examples -> its problems, by line, and its tokens."""
