"""Group relative policy optimization: answers that a model samples, their rewards, and the loss on them."""
