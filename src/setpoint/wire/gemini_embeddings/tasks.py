"""What vectors are for, in Google's words (https://ai.google.dev/api/embeddings#v1beta.TaskType)."""

from setpoint.domain.embeddings import EmbeddingTask

_READ: dict[str, EmbeddingTask] = {
    "RETRIEVAL_QUERY": "query",
    "RETRIEVAL_DOCUMENT": "document",
    "SEMANTIC_SIMILARITY": "similarity",
    "CLASSIFICATION": "classification",
    "CLUSTERING": "clustering",
}
_WRITTEN: dict[EmbeddingTask, str] = {task: word for word, task in _READ.items()}


def task_of(word: str | None) -> EmbeddingTask | None:
    """None for tasks that only Google has, such as FACT_VERIFICATION."""
    return _READ.get(word or "")


def word_of(task: EmbeddingTask) -> str:
    return _WRITTEN[task]
