"""Logits and labels -> figures."""
