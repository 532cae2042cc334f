"""HTTP as others need it: requests that go out, and webhooks that come in."""
