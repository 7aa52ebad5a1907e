"""From files to batches."""

from recurra.data.readers import Document, read_documents, read_text
from recurra.data.splits import Split, SplitKind, split_documents
from recurra.data.standard_library import standard_library
from recurra.data.streams import document_batches, stream, windows
from recurra_runtime.vocabulary import ByteVocabulary, CharacterVocabulary, Vocabulary

__all__ = [
    "ByteVocabulary",
    "CharacterVocabulary",
    "Document",
    "Split",
    "SplitKind",
    "Vocabulary",
    "document_batches",
    "read_documents",
    "read_text",
    "split_documents",
    "standard_library",
    "stream",
    "windows",
]
