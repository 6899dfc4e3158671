"""Try to cheat: what people do to make a plan look greener than it is, done for real, on a copy of the company's store."""
