"""Fine-tuning: supervised examples, classifiers and pretrained word vectors."""
