"""What other libraries call the settings and choices of this one: torch, Keras, Hugging Face."""

from __future__ import annotations

__all__ = ["SYNONYMS"]

_NAMES = {
    # data
    "byte-pairs": "bpe byte_pair byte_pairs bytepair bytepairs sentencepiece",
    "bytes": "byte",
    "characters": "char character chars",
    "channels": "target target_col target_cols targets y",
    "column": "field text_column text_field",
    "distinct": "dedup deduplicate unique",
    "encoding": "charset codec",
    "file": "document documents files",
    "frequency": "freq freqstr",
    "horizon": "fcst_horizon forecast_horizon h output_chunk_length prediction_length",
    "id": "id_col id_column item_id unique_id",
    "known": "futr_exog_list future_covariates",
    "line": "lines",
    "look_back": "context_length input_chunk_length input_size lookback",
    "lower": "do_lower_case lower_case lowercase",
    "maximum_length": "max_len max_length maxlen",
    "minimum_count": "min_count min_freq min_frequency mincount",
    "paragraph": "paragraphs",
    "past": "hist_exog_list past_covariates",
    "pattern": "glob",
    "season": "m season_length seasonality",
    "separator": "delimiter sep",
    "static": "stat_exog_list static_covariates",
    "step_size": "stride_windows",
    "time": "ds time_col time_column timestamp",
    "truncate": "truncation",
    "vocabulary": "tokenization tokenizer vocab",
    "vocabulary_size": "max_features max_vocab num_words vocab_size",
    "words": "word",
    # model
    "cell": "cell_type rnn rnn_type type",
    "dropout_between": "dropouth",
    "dropout_input": "dropouti embd_pdrop embedding_dropout",
    "dropout_output": "output_dropout",
    "dropout_recurrent": "recurrent_dropout wdrop weight_drop weight_dropout",
    "dropout_word": "dropoute word_dropout",
    "elman": "rnn rnn_tanh simple_rnn simplernn vanilla vanilla_rnn",
    "embedding_size": "emb_dim emb_size embed_dim embed_size embedding_dim emsize n_embd",
    "held": "locked locked_dropout variational variational_dropout",
    "hidden_size": "d_model hidden hidden_dim hidden_units n_hidden nhid num_units units",
    "layers": "depth n_layer n_layers nlayers num_hidden_layers num_layers",
    "tied": "tie tie_embeddings tie_weights tie_word_embeddings tied_weights weight_tying",
    # training
    "teacher": "distil distill distill_from teacher_model",
    "accumulate": "accumulate_grad_batches accumulation_steps grad_accum gradient_accumulation "
    "gradient_accumulation_steps",
    "average": "ema ema_decay polyak swa",
    "batch_size": "batch bs minibatch_size per_device_train_batch_size train_batch_size",
    "bfloat16": "bf16 bfloat",
    "clip": "clip_grad_norm clip_norm clipnorm grad_clip gradient_clip gradient_clip_val "
    "max_grad_norm max_norm",
    "clip_value": "clip_grad_value clipvalue",
    "constant": "none",
    "cosine": "cos cosine_annealing cosineannealinglr",
    "device": "accelerator cuda gpu use_cuda",
    "early_stop": "early_stopping early_stopping_patience patience",
    "epochs": "epoch max_epochs n_epochs num_epochs num_train_epochs",
    "float32": "float fp32",
    "learning_rate": "eta lr max_lr",
    "minimum_steps": "min_steps",
    "optimizer": "opt optim optimiser",
    "optimizer_settings": "beta1 beta2 betas eps momentum nesterov optimizer_kwargs",
    "precision": "amp bf16 dtype fp16 mixed_precision",
    "schedule": "lr_schedule lr_scheduler lr_scheduler_type scheduler",
    "seed": "manual_seed random_seed random_state",
    "symbols": "tokens",
    "warmup": "pct_start warmup_ratio warmup_steps",
    "weight_decay": "l2 wd",
    "window": "bptt bptt_len context_length seq_len seq_length sequence_length tbptt",
}

SYNONYMS: dict[str, tuple[str, ...]] = {}
"""Another library's name -> what it may be called here; which of them is known decides."""
for _name, _others in _NAMES.items():
    for _other in _others.split():
        SYNONYMS[_other] = (*SYNONYMS.get(_other, ()), _name)
