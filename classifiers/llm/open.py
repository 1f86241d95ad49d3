"""The client of a model: one per model and run, with its cache in the store."""

from __future__ import annotations

import re

from classifiers.llm.client import Client
from classifiers.llm.settings import settings_of
from pipeline.recipe import digest
from pipeline.service import Services


def client_of(model: str, services: Services, where: str) -> Client:
    """The client of a model; stages that name the same model share its limits, budget and cache.

    Args: where, what needs it, for errors.
    Raises: ConfigError if no server has the model, or its settings are wrong.
    """
    client = services.shared.get(model)
    if client is None:
        settings = settings_of(model, services.servers, where)
        client = Client(settings, services.cache(folder_of(model)))
        services.shared[model] = client
    assert isinstance(client, Client)
    return client


def folder_of(model: str) -> str:
    """Name of the cache of a model: readable, and different for each model."""
    return f"{re.sub('[^A-Za-z0-9._-]+', '-', model)[:60]}-{digest(model)[:8]}"
