"""Language models behind a server: a client with a cache, limits and a budget, and rubrics as questions to a model."""
