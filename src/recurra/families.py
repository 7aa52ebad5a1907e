"""The tasks that come with the package, and where they are; nothing is loaded to know that."""

__all__ = ["DEFAULT", "SHIPPED"]

SHIPPED = {
    "classification": "recurra.tasks.classification",
    "forecasting": "recurra.tasks.forecasting",
    "language-model": "recurra.tasks.language_model",
    "ngram": "recurra.tasks.language_model.ngram",
    "recognition": "recurra.tasks.recognition",
    "tagging": "recurra.tasks.tagging",
    "transduction": "recurra.tasks.transduction",
}
DEFAULT = "language-model"
"""The task of a recipe that names none."""
