"""Fine-tuning: supervised examples, classifiers, word vectors."""
