"""OpenAI's Responses API as a dialect: its official clients read durable runs as they are."""
