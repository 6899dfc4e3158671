"""Messages to people: by signed webhook and by mail, each once, and again where a receiver is down."""
