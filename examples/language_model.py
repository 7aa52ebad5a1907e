"""Many to many: a character language model in plain steps, beside an n-gram of the same text."""

import torch

import recurra
from recurra.data import END, START, CharacterVocabulary, Windows, document_batches

text = "the cat sat on the mat. the dog sat on the log. " * 40
vocabulary = CharacterVocabulary.of([text])
documents = [vocabulary.encode(text)]

torch.manual_seed(0)
model = recurra.LanguageModel(
    recurra.LanguageModelConfig(
        vocabulary_size=len(vocabulary), cell="gru", layers=1, hidden_size=48
    )
)
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
for epoch in range(6):
    state = None
    for batch in Windows(documents, rows=4, size=32):
        scored = model(batch, state)  # sum of losses, number of symbols, state to carry on
        (scored.total / scored.count).backward()
        optimizer.step()
        optimizer.zero_grad()
        state = recurra.states.detach(scored.state)  # truncated backpropagation
    nats, symbols = model.score(document_batches(documents, rows=1, size=256))
    print(f"epoch {epoch + 1}: {nats / symbols:.3f} nats per symbol")

bigram = recurra.NGram.fit(
    documents, order=2, vocabulary_size=len(vocabulary), start=START, end=END
)
nats, symbols = bigram.total(documents)
print(f"bigram:  {nats / symbols:.3f} nats per symbol")

prompt = [START, *vocabulary.encode("the d").tolist()]
ids = recurra.generate(model.eval(), prompt, end=END, limit=40, temperature=0.5, seed=0)
print("the d" + vocabulary.decode(ids))
