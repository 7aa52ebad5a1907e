"""From files to batches."""

from recurra.data.readers import Document, read_documents, read_text
from recurra.data.splits import Split, SplitKind, split_documents
from recurra.data.standard_library import standard_library
from recurra.data.streams import Windows, document_batches, stream
from recurra_runtime.vocabulary import (
    END,
    START,
    UNKNOWN,
    ByteVocabulary,
    CharacterVocabulary,
    Vocabulary,
)

__all__ = [
    "ByteVocabulary",
    "CharacterVocabulary",
    "Document",
    "END",
    "START",
    "Split",
    "SplitKind",
    "UNKNOWN",
    "Vocabulary",
    "Windows",
    "document_batches",
    "read_documents",
    "read_text",
    "split_documents",
    "standard_library",
    "stream",
]
