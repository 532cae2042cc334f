"""Agents for programs that know OpenAI's API: ``/v1/chat/completions`` and ``/v1/models``.

A model is an agent.  Source of all shapes: https://platform.openai.com/docs/api-reference/chat
and what the official Python client makes of them.
"""
