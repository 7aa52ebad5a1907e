"""A model in full: parts, costs and their growth, and whether it is what its settings say."""

from recurra.diagnosis.cards.describing import Card, card

__all__ = ["Card", "card"]
