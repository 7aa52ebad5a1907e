"""What estimators have in common: parameters by name, as scikit-learn asks for them."""

from __future__ import annotations

import inspect
from typing import Any, Self

from recurra.errors import SettingError, nearest

__all__ = ["Estimator"]


class Estimator:
    """Parameters are the arguments of ``__init__``, each an attribute of its name."""

    @classmethod
    def _parameters(cls) -> dict[str, Any]:
        """All of them, with their defaults."""
        return {name: each.default for name, each in inspect.signature(cls).parameters.items()}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name."""
        return {name: getattr(self, name) for name in self._parameters()}

    def set_params(self, **parameters: Any) -> Self:
        """Change some.

        Raises:
            SettingError: an unknown one; the nearest is told.
        """
        known = [*self._parameters()]
        for name, value in parameters.items():
            if name not in known:
                own = type(self).__name__
                raise SettingError(f"{own}: no parameter {name!r}; {nearest(name, known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """With what differs from its defaults."""
        usual = self._parameters()
        told = (
            f"{name}={value!r}" for name, value in self.get_params().items() if value != usual[name]
        )
        return f"{type(self).__name__}({', '.join(told)})"
