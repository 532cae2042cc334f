"""Requests and events: who asks, what may be asked, what is answered, who is told."""
