"""Configuration: its model, reading it with all issues at once, writing it safely."""
